"""Sphinx's settings for the course's site; `tools.site` writes the sources and starts it."""

project = "From pixels to PaLM-E"
author = 'the authors of "From pixels to PaLM-E"'
copyright = "the authors of “From pixels to PaLM-E”, CC BY 4.0"
language = "en"

# myst-nb reads notebooks with their outputs, by Python alone; nbsphinx needs pandoc, a program that pip does not bring.
extensions = ["myst_nb"]
nb_execution_mode = "off"  # the outputs are those that the notebooks carry
nb_ipywidgets_js = {}  # scripts of another machine, for controls that would have no kernel here
nb_merge_streams = True
nb_code_prompt_show = "Code"
nb_code_prompt_hide = "Code"
myst_enable_extensions = ["dollarmath", "amsmath"]
myst_dmath_double_inline = True  # as in Jupyter, $$…$$ may stand inside a paragraph
suppress_warnings = ["myst.header"]  # a page may leave out a level of headings

# The MathJax of the decks, version 2, which the site carries anyway.
myst_update_mathjax = False
mathjax_path = "../slides/assets/mathjax/MathJax.js"
mathjax2_config = {"config": ["TeX-AMS_CHTML-full.js"], "messageStyle": "none"}

# Furo asks nothing of other machines, is readable on a phone, and has light and dark.
html_theme = "furo"
html_title = project
html_static_path = ["static"]
html_css_files = ["course.css"]
html_js_files = ["course.js"]
html_copy_source = False
html_show_sourcelink = False
html_use_index = False
html_permalinks_icon = "#"
pygments_style = "a11y-high-contrast-light"
pygments_dark_style = "a11y-high-contrast-dark"
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#005a8f", "color-brand-content": "#005a8f"},
    "dark_css_variables": {"color-brand-primary": "#7cc4f0", "color-brand-content": "#7cc4f0"},
}
