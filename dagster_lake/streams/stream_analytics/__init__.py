"""What Stream Analytics wrote, held against what the lake has computed itself."""
