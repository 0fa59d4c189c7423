# Serves by a socket of this machine, whose port the environment says.
local({
  where <- Sys.getenv("LMERBRIDGE_R_FILES")
  port <- as.integer(Sys.getenv("LMERBRIDGE_R_PORT"))
  token <- Sys.getenv("LMERBRIDGE_R_TOKEN")
  scratch <- Sys.getenv("LMERBRIDGE_R_SCRATCH")
  Sys.unsetenv(c("LMERBRIDGE_R_FILES", "LMERBRIDGE_R_PORT", "LMERBRIDGE_R_TOKEN",
                 "LMERBRIDGE_R_SCRATCH"))
  code <- function(name) parse(file.path(where, name), encoding = "UTF-8", keep.source = FALSE)
  serve <- eval(code("serve.R"), baseenv())
  functions <- code("lmerbridge.R")
  line <- tryCatch(
    suppressWarnings(socketConnection("127.0.0.1", port, blocking = TRUE, open = "r+b",
                                      timeout = 31536000L)),
    error = function(e) {
      unlink(scratch, recursive = TRUE)
      quit("no", status = 1L)
    })
  serve(line, line, token, functions, scratch)
  close(line)
})
