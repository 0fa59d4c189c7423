"""The scripts of docs/ run, and print what the source documents print."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import lmerbridge as lb

DOCS = Path(__file__).parent.parent / "docs"
pytestmark = pytest.mark.skipif(not DOCS.exists(), reason="run from an installed wheel")

# words and numbers of the documents
PRINTED = {
    "document_1_bounce": [
        "165.548520",
        "179.606068",
        "14.928334",
        "8.563396",
        "0.048782",
        "-21.437323",
        "201.3165",
        "Mixed_Random_Slopes",
    ],
    "document_2_thinking_about_mixed_models": [
        "(Intercept)  251.405      6.610  38.033  < 2e-16 ***",
        "Residual standard error: 47.71 on 178 degrees of freedom",
        "REML criterion at convergence: 2939.6",
        "clus     (Intercept) 0.2247   0.4740",
        "REML criterion at convergence: 1743.6",
        "REML criterion at convergence: 3266.3",
        "9.19897",
        "-40.398",
        "253.66",
        "19.66626",
    ],
    "document_3_lecture": [
        "0.199353",
        "-2.211484",
        "t = -10.231, df = 19, p-value = 3.636e-09",
        "-0.2401340 -0.1585717",
        "REML criterion at convergence: 17.3",
        "fit.lm      3 608.6 618.49 -301.3    602.6",
        "fit.test    4 608.8 621.99 -300.4    600.8 1.7999  1     0.1797",
        "REML criterion at convergence: 171.7",
        "number of observations (=40) <= number of random effects (=40)",
        "(Intercept)  -7.1151     0.2107  -33.76   <2e-16 ***",
        "-7.6678",
        "292.2749",
        "253.9478",  # the document, whose optimizer stopped sooner, prints 253.9479
        "19.9527",
        "-0.3356",
    ],
    "document_4_science_attitudes": [
        "school:class (Intercept) 0.3206",
        "(Intercept)     4.7218",
        "0.1823",
        "0.4117",
        "between classes 9.5%",
        "Residual standard error: 1.833 on 1380 degrees of freedom",
        "(2 observations deleted due to missingness)",
        "F-statistic: 8.203 on 2 and 1380 DF,  p-value: 0.0002873",
        "6.33795",
        "0.31156",
    ],
}


@pytest.mark.parametrize("name", PRINTED)
def test_script(name, tmp_path):
    if name == "document_1_bounce" and not lb.datasets.is_local("bounce"):
        pytest.skip("bounce is not on this machine")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", f"{name}.py"],
        capture_output=True,
        text=True,
        cwd=DOCS,
        env={**os.environ, "LMERBRIDGE_FIGURES": str(tmp_path), "LMERBRIDGE_ENGINE": "native"},
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    missing = [text for text in PRINTED[name] if text not in done.stdout]
    assert missing == []
    pictures = sorted(p.name for p in tmp_path.glob("*.png"))
    source = (DOCS / f"{name}.py").read_text("utf-8")
    assert len(pictures) >= source.count("save(") - 1
    assert all((tmp_path / p).stat().st_size > 5000 for p in pictures)
