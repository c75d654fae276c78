"""What people see of an asset: columns, counts, plots, previews."""
