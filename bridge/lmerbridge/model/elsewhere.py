"""What other packages call something that a fitted model has by another name."""

from __future__ import annotations

from lmerbridge.errors import near_match

__all__ = ["missing_attribute"]

# Of statsmodels' results, of pymer4's and of R's objects.
ELSEWHERE: dict[str, str] = {
    "params": "fixef()",
    "fe_params": "fixef()",
    "coefs": "tidy()",
    "coefficients": "fixef()",
    "bse": "se_fixef()",
    "bse_fe": "se_fixef()",
    "tvalues": "tidy()",
    "pvalues": "tidy(ddf='Satterthwaite')",
    "conf_int": "confint()",
    "cov_params": "vcov()",
    "cov_re": "VarCorr()",
    "random_effects": "ranef()",
    "random_effects_cov": "postVar()",
    "ranef_var": "VarCorr()",
    "fittedvalues": "fitted()",
    "fits": "fitted()",
    "resid": "residuals()",
    "llf": "logLik()",
    "aic": "AIC()",
    "bic": "BIC()",
    "df_resid": "df_residual()",
    "scale": "sigma() ** 2",
    "converged": "result.evidence.converged",
    "theta": "getME('theta')",
    "messages": "result.evidence.messages",
    "warnings": "result.evidence.messages",
    "optinfo": "result.evidence",
    "na_action": "result.data.dropped",
    "getReCovs": "result.estimates.random",
    "wald_test": "contest(L)",
    "t_test": "contest1D(L)",
    "f_test": "contestMD(L)",
    "post_hoc": "emmeans(specs, contr='pairwise')",
    "save": "to_json()",
    "to_latex": "lb.table(m).to_latex()",
    "to_markdown": "lb.table(m).to_markdown()",
    "to_html": "lb.table(m).to_html()",
}


def missing_attribute(owner: object, name: str) -> AttributeError:
    """Return the error for an attribute that an object has not, with what it is called here."""
    kind = type(owner).__name__
    hint = ""
    if name in ELSEWHERE:
        hint = f": it is {ELSEWHERE[name]} here"
    elif not name.startswith("_"):  # such names Python and its libraries ask, and often
        hint = near_match(name, (n for n in dir(type(owner)) if not n.startswith("_")))
    return AttributeError(f"{kind!r} object has no attribute {name!r}{hint}", name=name, obj=owner)
