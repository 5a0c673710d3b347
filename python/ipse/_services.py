"""The names of the services that are called: all that carriers need to know of them."""

from typing import Final

IDENTITY: Final = "ipse.v1.IdentityService"
ADMIN: Final = "ipse.v1.AdminService"
HISTORY: Final = "ipse.v1.HistoryService"
