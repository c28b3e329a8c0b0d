"""The report as one page that needs nothing but a browser.

`texts`, `findings`, `details`, `advice`, `summary` and `tables` are what it holds, `render` puts it into one file;
script/ is what runs in it, vendor/ the libraries that it uses.
"""

from hunt.report.render import page

__all__ = ["page"]
