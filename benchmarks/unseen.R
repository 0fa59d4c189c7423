# Generalized models on data that no suite of this project has, by lme4 and by glmmTMB as they are
# called without settings, for unseen.py.
# Usage: Rscript unseen.R FOLDER writes FOLDER/data.json and FOLDER/fits.json.
suppressMessages({library(jsonlite); library(lme4); library(glmmTMB)})
folder <- commandArgs(TRUE)[1]
options(warn = -1)

set.seed(8)
crossed <- expand.grid(item = factor(1:12), person = factor(1:40))
crossed$x <- round(rnorm(480), 2)
crossed$y <- as.numeric(pnorm(0.3 + 0.5 * crossed$x + rnorm(40)[crossed$person] +
                              0.5 * rnorm(12)[crossed$item]) > runif(480))
hazard <- data.frame(g = factor(rep(1:30, each = 10)), x = round(rnorm(300), 2))
hazard$y <- as.numeric(1 - exp(-exp(-0.5 + (0.7 + 0.4 * rnorm(30)[hazard$g]) * hazard$x +
                                    0.8 * rnorm(30)[hazard$g])) > runif(300))
spray <- transform(InsectSprays, row = factor(seq_along(count)))
breaks <- transform(warpbreaks, row = factor(seq_along(breaks)))
growth <- transform(as.data.frame(nlme::Orthodont), wide = as.numeric(distance > 24))
growth$Subject <- factor(as.character(growth$Subject))
plates <- transform(Penicillin, diameter = as.integer(diameter))
litters <- survival::rats
litters <- transform(litters, litter = factor(litter), sex = factor(sex))
cancer <- transform(esoph, ncontrols = pmax(ncontrols, 1), agegp = factor(agegp, ordered = FALSE),
                    alcgp = factor(alcgp, ordered = FALSE), tobgp = factor(tobgp, ordered = FALSE))
cancer$cell <- factor(seq_len(nrow(cancer)))
yields <- transform(MASS::oats, plot = factor(paste(B, V)))
snails <- transform(MASS::snails, jar = factor(seq_len(nrow(MASS::snails))))
chicks <- transform(as.data.frame(ChickWeight), Chick = factor(as.character(Chick)))

models <- list(
  list("Salamanders", Salamanders, count ~ mined + DOY + (1 | site), poisson()),
  list("Salamanders, size", Salamanders, count ~ spp + mined + (1 | site), "nb"),
  list("Owls", Owls, SiblingNegotiation ~ FoodTreatment * SexParent + offset(log(BroodSize)) +
         (1 | Nest), poisson()),
  list("Owls, slopes", Owls, SiblingNegotiation ~ FoodTreatment + offset(log(BroodSize)) +
         (FoodTreatment | Nest), poisson()),
  list("Owls, size", Owls, SiblingNegotiation ~ FoodTreatment * SexParent + (1 | Nest), "nb"),
  list("Orthodont", growth, wide ~ I(age - 11) * Sex + (1 | Subject), binomial()),
  list("rats", litters, status ~ rx + sex + (1 | litter), binomial()),
  list("esoph", cancer, cbind(ncases, ncontrols) ~ agegp + alcgp + (1 | tobgp), binomial()),
  list("esoph, cells", cancer, cbind(ncases, ncontrols) ~ agegp + tobgp + (1 | cell), binomial()),
  list("snails", snails, cbind(Deaths, N - Deaths) ~ Species + Exposure + Temp + (1 | jar),
       binomial()),
  list("InsectSprays", spray, count ~ spray + (1 | row), poisson()),
  list("warpbreaks", breaks, breaks ~ wool * tension + (1 | row), poisson()),
  list("Penicillin", plates, diameter ~ 1 + (1 | plate) + (1 | sample), poisson()),
  list("oats", yields, Y ~ N + V + (1 | B) + (1 | plot), Gamma("log")),
  list("ChickWeight", chicks, weight ~ Time * Diet + (1 | Chick), Gamma("log")),
  list("crossed probit", crossed, y ~ x + (1 | person) + (1 | item), binomial("probit")),
  list("cloglog slopes", hazard, y ~ x + (x | g), binomial("cloglog"))
)

answer <- function(m, beta, V, sds, engine) {
  list(engine = engine, deviance = -2 * as.numeric(logLik(m)), beta = as.list(beta),
       se = unname(sqrt(diag(as.matrix(V)))), sd = unname(sds))
}
by_lme4 <- function(case) {
  said <- character()
  m <- withCallingHandlers(
    if (identical(case[[4]], "nb")) glmer.nb(case[[3]], case[[2]])
    else glmer(case[[3]], case[[2]], case[[4]]),
    warning = function(w) said <<- c(said, conditionMessage(w)),
    message = function(w) said <<- c(said, conditionMessage(w)))
  v <- as.data.frame(VarCorr(m))
  found <- answer(m, fixef(m), vcov(m), v$sdcor[is.na(v$var2) & v$grp != "Residual"],
                  paste("lme4", packageVersion("lme4")))
  c(found, list(said = as.list(unique(substr(said, 1, 70)))))
}
by_glmmTMB <- function(case) {
  family <- if (identical(case[[4]], "nb")) nbinom2() else case[[4]]
  m <- glmmTMB(case[[3]], case[[2]], family = family)
  sds <- unlist(lapply(VarCorr(m)$cond, function(v) attr(v, "stddev")))
  c(answer(m, fixef(m)$cond, vcov(m)$cond, sds, paste("glmmTMB", packageVersion("glmmTMB"))),
    list(said = if (m$sdr$pdHess) list() else list("Hessian not positive definite")))
}

data <- fits <- list()
for (case in models) {
  d <- droplevels(as.data.frame(case[[2]]))
  family <- case[[4]]
  data[[case[[1]]]] <- list(
    formula = paste(deparse(case[[3]], width.cutoff = 500), collapse = " "),
    family = if (is.character(family)) family
             else sprintf('%s(link = "%s")', family$family, family$link),
    columns = lapply(d, function(v) if (is.factor(v)) as.character(v) else as.numeric(v)),
    levels = lapply(Filter(is.factor, d), levels))
  case[[2]] <- d
  fits[[case[[1]]]] <- lapply(list(by_lme4, by_glmmTMB), function(by)
    tryCatch(by(case), error = function(e) list(failed = conditionMessage(e))))
}
write(toJSON(data, digits = I(15), auto_unbox = TRUE), file.path(folder, "data.json"))
write(toJSON(fits, digits = I(15), auto_unbox = TRUE, na = "null"), file.path(folder, "fits.json"))
