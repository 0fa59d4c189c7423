# Makes the data here: effects with known covariance matrices, three rows a cell.
# Usage: Rscript reference/structured/data.R     (from the root of the project)
options(digits = 15)
folder <- "reference/structured"

# a covariance matrix that (1 | g) + (1 | g:f) cannot have: correlation -0.35 of three columns
set.seed(3)
g <- 1:30; f <- c("a", "b", "c")
d <- expand.grid(row = 1:3, f = f, g = g)
root <- t(chol(4 * (diag(3) * 1.35 - 0.35)))
b <- root %*% matrix(rnorm(90), 3)
d$y <- round(5 + c(0, 1, -1)[match(d$f, f)] + b[cbind(match(d$f, f), d$g)] + rnorm(nrow(d)), 4)
write.csv(d[c("y", "f", "g")], file.path(folder, "negative.csv"), row.names = FALSE, quote = FALSE)

# no effect at all of u, one of v's columns alone
set.seed(11)
d <- expand.grid(row = 1:3, f = f, g = 1:20)
d$x <- round(rnorm(nrow(d)), 3)
e <- rnorm(20)
noise <- rnorm(nrow(d))
# within each level and cell the residuals have mean 0: every variance between is estimated as 0
noise <- noise - ave(noise, d$f, d$g)
d$none <- round(2 + d$x + noise, 4)
d$one <- round(2 + d$x + 1.5 * e[d$g] * (d$f == "a") + noise, 4)
write.csv(d[c("none", "one", "x", "f", "g")], file.path(folder, "zero.csv"), row.names = FALSE,
          quote = FALSE)

# several terms: an autoregression over six times in h, compound symmetry over f in g, an intercept
set.seed(8)
d <- data.frame(g = rep(1:24, each = 20), h = rep(1:32, times = 15), k = sample(1:12, 480, TRUE),
                f = sample(f, 480, TRUE), t = sample(1:6, 480, TRUE), x = round(rnorm(480), 3))
R <- 0.7^abs(outer(1:6, 1:6, "-"))
bh <- t(chol(R)) %*% matrix(rnorm(6 * 32), 6) * 1.2
bg <- t(chol(diag(3) * 0.5 + 0.5)) %*% matrix(rnorm(72), 3) * c(0.5, 1, 1.5)
d$y <- round(1 + 0.5 * d$x + bh[cbind(d$t, d$h)] + bg[cbind(match(d$f, f), d$g)] +
               0.4 * rnorm(12)[d$k] + 0.8 * rnorm(480), 4)
d$w <- round(runif(480, 0.5, 2), 2)
write.csv(d[c("y", "x", "f", "t", "g", "h", "k", "w")], file.path(folder, "several.csv"),
          row.names = FALSE, quote = FALSE)
