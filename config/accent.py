"""The one accent colour, a deep teal, in the steps that the admin asks for."""

ACCENT = {
    "50": "oklch(97% .02 190)",
    "100": "oklch(93% .04 190)",
    "200": "oklch(87% .06 190)",
    "300": "oklch(79% .08 190)",
    "400": "oklch(68% .09 190)",
    "500": "oklch(57% .09 190)",
    "600": "oklch(48% .08 190)",
    "700": "oklch(41% .07 190)",
    "800": "oklch(35% .06 190)",
    "900": "oklch(30% .05 190)",
    "950": "oklch(22% .04 190)",
}
