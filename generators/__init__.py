"""The outside world of the lakehouse: deterministic rows, dirty on demand.

`World` says how large it is. The modules `users`, `vip_users`, `products`, `orders`, `order_items`, `pageviews` and
`stars` make its clean rows; `files`, `events` and `database` deliver them with `Dirt`; `manifest` lists what is dirty.
"""

from generators.dirt import Dirt, manifest
from generators.world import World

__all__ = ["Dirt", "World", "manifest"]
