"""Results as text in lme4's form, and as HTML."""

from lmerbridge.display.html import model_html
from lmerbridge.display.summary import Summary, model_text, summary_text, variance_text

__all__ = ["Summary", "model_html", "model_text", "summary_text", "variance_text"]
