# Makes formula_tools.json: what lme4's findbars, nobars, subbars and expandDoubleVerts give for
# formulas, and isNested for factors. Usage: Rscript --vanilla tests/stored/formula_tools.R (from the root)
suppressMessages(library(lme4))
formulas <- c(
  "y ~ x", "y ~ x + (1|g)", "~ x + (1|g)", "~ (1|g)", "y ~ (1|g)", "y ~ 1 + (1|g)",
  "y ~ (1|g) + (x|h)", "~ (1|g) + (x|h)", "y ~ x + (1 + x || g)", "y ~ x*z + (x + z || g/h)",
  "y ~ x + (x*z || g)", "y ~ x + (0 + x || g)", "y ~ x + (x|g) - 1", "y ~ 0 + (1|g)",
  "y ~ -1 + (x|g)", "log(y) ~ poly(x, 2) + (x | g/h)", "y ~ x + (x | g:h)",
  "y ~ a*(b + c) + (1 | g)", "x + (1|g)", "(1|g)", "1 | g", "x", "y ~ x | g", "y ~ x + 1|g",
  "y ~ x + (f || g)", "y ~ x + (1|f/g/h)", "y ~ x + (1|f+g)", "y ~ x + ((1|g))",
  "y ~ (x + (1|g))", "y ~ ((1|g) + (1|h)) + x", "y ~ x + offset(o) + (1|g)", "y ~ . + (1|g)",
  "y ~ x + (-1 + x || g)", "y ~ x + (x - 1 || g)", "y ~ x + (x + z | g) + (0 + w|h)",
  "y ~ x + I(x^2) + (I(x^2) + x || g)", "y ~ x + (x:z || g)", "y ~ x + (poly(x, 2)||g)",
  "y ~ factor(k + 1L) + (1L + x || g)", "y ~ x + (f & h | g)", "y ~ x + (x > 2 | g)",
  "y ~ x + (1 | g & h)", "y ~ x + (1 | g == 2)", "y ~ x + (!a | g)", "y ~ x + (-x | g)",
  "y ~ x + (x | (g:h))", "y ~ x + (1 | (a + b):g)", "y ~ x + (1 | a/(b + c))",
  "y ~ x + (x + w | a*b)", "y ~ (1|g) + x", "y ~ x + (1|g) + z", "a + b ~ x + (1|g)",
  "y ~ x + (a %in% b || g)", "y ~ (0 + x||g) + 0", "y ~ x + (1 + x || g) + (z || h)",
  "y ~ x + (x || g + h)", "y ~ x + (a:b + a||g)", "y ~ x + (1 | factor(g))",
  "y ~ x + (1 | interaction(g, h))", "y ~ x + (x | g %in% h)", "y ~ x + (x^2 || g)",
  "y ~ x + (offset(x) + z||g)", "y ~ `odd name` + (`b c` | `g h`)", "y ~ x + (x - z | g)",
  "y ~ x %in% z + (1|g)", "y ~ (a + b)^2 + (a | g/h) - a:b",
  "y ~ a_long_name_of_a_column + another_long_name_of_a_column + (1 + a_long_name_of_a_column || g)")
text <- function(x) {
  one <- function(e) paste(deparse(e, width.cutoff = 500L), collapse = " ")
  if (is.list(x)) lapply(x, one) else one(x)
}
tools <- list(nobars = nobars, findbars = findbars, subbars = subbars,
              expandDoubleVerts = expandDoubleVerts)
asked <- lapply(formulas, function(f) {
  given <- str2lang(f)
  if (grepl("~", f)) given <- as.formula(given)
  found <- lapply(tools, function(tool) text(tool(given)))
  if (is.null(findbars(given))) found$findbars <- list()
  c(list(formula = f), found)
})
pairs <- list(
  list(c("a1", "a2", "b1", "a1"), c("a", "a", "b", "a")), list(c("a", "a", "b"), c("x", "y", "x")),
  list(1:3, c(1, 1, 2)), list(c(1, 1, 2), 1:3), list(c("a", "b"), c("x", "x")),
  list(c(TRUE, FALSE), c("x", "x")), list("a", "x"), list(c(1, 1), c(2, 2)),
  list(c(0.1, 0.1, 0.5), c(TRUE, TRUE, FALSE)), list(c(0.1, 0.1, 0.5), c(TRUE, FALSE, FALSE)))
nested <- lapply(pairs, function(p) list(f1 = as.list(p[[1]]), f2 = as.list(p[[2]]),
                                         nested = isNested(p[[1]], p[[2]])))
missing <- tryCatch(isNested(c("a", NA), c("x", "x")), error = function(e) "stops")
stopifnot(identical(missing, "stops"))
write(jsonlite::toJSON(list(formulas = asked, nested = nested), auto_unbox = TRUE, pretty = TRUE),
      "tests/stored/formula_tools.json")
