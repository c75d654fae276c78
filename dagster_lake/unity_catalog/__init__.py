"""Unity Catalog: what it must hold for the lake, what it holds, and the way from one to the other.

``desired`` is made of one YAML file and the contracts, ``actual`` is read from the workspace, ``plan`` compares the
two, ``apply`` carries the plan out.
"""
