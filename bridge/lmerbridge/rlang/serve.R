# How an R process of its own is asked: values come and go in binary over a line, by base R alone.
# What it is asked to do is in lmerbridge.R, whose `code` is given. The format is that of rcodec.py.
# Who starts it is socket.R, or the few words that processes.py has for an R with which we share
# nothing but its standard input and output.
function(input, output, token, code, scratch = NULL) {
  # enclosed by base, so that nothing the user defines in R can stand in for our names
  functions <- new.env(parent = baseenv())
  functions$functions <- functions
  eval(code, functions)
  kept <- new.env(parent = emptyenv())

  # whatever ends this, the temporary files go
  give_up <- function(e) {
    unlink(scratch, recursive = TRUE)
    quit("no", status = 1L)
  }
  writeBin(charToRaw(token), output)

  whole <- function() readBin(input, "integer", 1L, 4L, endian = "little")
  strings <- function(n) {
    found <- if (n) readBin(input, "character", n) else character()
    Encoding(found) <- "UTF-8"
    found
  }
  get_value <- function() {
    tag <- whole()
    if (!length(tag)) return(stop("end"))
    switch(as.character(tag),
      "0" = NULL,
      "1" = get_vector("logical"),
      "2" = get_vector("integer"),
      "3" = get_vector("double"),
      "4" = {
        n <- whole()
        missing <- whole()
        found <- strings(n)
        if (missing) found[readBin(input, "integer", missing, 4L, endian = "little")] <- NA
        found
      },
      "5" = {
        n <- whole()
        named <- whole()
        labels <- if (named) strings(n)
        found <- vector("list", n)
        for (i in seq_len(n)) {
          value <- get_value()
          if (!is.null(value)) found[[i]] <- value
        }
        if (named) names(found) <- labels
        found
      },
      "6" = {
        ordered <- whole()
        levels <- strings(whole())
        codes <- readBin(input, "integer", whole(), 4L, endian = "little")
        structure(codes, levels = levels, class = c(if (ordered) "ordered", "factor"))
      },
      "7" = get(strings(1L), envir = kept, inherits = FALSE),
      "8" = {
        key <- strings(1L)
        value <- get_value()
        assign(key, value, envir = kept)
        value
      },
      "9" = {
        rm(list = strings(whole()), envir = kept)
        get_value()
      },
      stop("unknown tag ", tag))
  }
  get_vector <- function(kind) {
    n <- whole()
    dims <- whole()
    dim <- if (dims) readBin(input, "integer", dims, 4L, endian = "little")
    found <- switch(kind,
      logical = as.logical(readBin(input, "integer", n, 4L, endian = "little")),
      integer = readBin(input, "integer", n, 4L, endian = "little"),
      double = readBin(input, "double", n, 8L, endian = "little"))
    if (length(found) != n) stop("end")
    if (!is.null(dim)) dim(found) <- dim
    found
  }
  # a reply is written at once: many small writes would each wait for the other side
  pieces <- list()
  put <- function(bytes) pieces[[length(pieces) + 1L]] <<- bytes
  put_whole <- function(x) put(writeBin(as.integer(x), raw(), 4L, endian = "little"))
  put_strings <- function(x) if (length(x)) put(writeBin(x, raw(), useBytes = TRUE))
  put_value <- function(x) {
    if (is.null(x)) return(put_whole(0L))
    if (is.character(x)) {
      x <- enc2utf8(x)
      missing <- which(is.na(x))
      x[missing] <- ""
      put_whole(c(4L, length(x), length(missing)))
      put_strings(x)
      if (length(missing)) put_whole(missing)
      return(invisible())
    }
    if (is.list(x)) {
      labels <- names(x)
      put_whole(c(5L, length(x), !is.null(labels)))
      if (!is.null(labels)) put_strings(enc2utf8(labels))
      for (value in unname(unclass(x))) put_value(value)
      return(invisible())
    }
    tag <- switch(typeof(x), logical = 1L, integer = 2L, double = 3L,
                  stop("cannot send ", typeof(x)))
    put_whole(c(tag, length(x), length(dim(x)), dim(x)))
    put(if (tag == 3L) writeBin(as.vector(x), raw(), 8L, endian = "little") else
      writeBin(as.integer(x), raw(), 4L, endian = "little"))
  }

  answer <- function(value) {
    put_whole(1279414092L)  # a mark, so that garbage is known for what it is
    put_value(value)
    tryCatch(writeBin(unlist(pieces), output), error = give_up)
    flush(output)
    pieces <<- list()
  }

  # what will be needed is loaded before it is asked for, and the greeting says that it is: an R that
  # is killed while it loads has not begun a call
  try(suppressPackageStartupMessages(loadNamespace("lme4")), silent = TRUE)
  answer(NULL)
  repeat {
    # what has come in is one call: its function and its arguments
    name <- tryCatch(get_value(), error = function(e) NULL)
    if (is.null(name)) break
    arguments <- tryCatch(get_value(), error = give_up)
    reply <- functions$run(name, arguments)
    answer(reply)
    rm(arguments, reply)
  }
  unlink(scratch, recursive = TRUE)
}
