// Package admin is how commands speak to a mirror: an HTTP API, and a client of it.
//
//	GET  /admin/status         how the mirror is doing            Status
//	GET  /admin/mode           the mode                           Mode
//	PUT  /admin/mode           switch to another                  Mode, answered by a Mode
//	PUT  /admin/read-only      write nothing, or write again      ReadOnly, answered by a ReadOnly
//	POST /admin/reload         read the settings again            answered by a Reloaded
//	GET  /admin/images         what is held; ?match= ?incomplete= a line for each Image
//	GET  /admin/wants          what is wanted                     an array of mirror.Want
//	POST /admin/wants/forget   strike wants off                   Forget, answered by a Forgotten
//	POST /admin/jobs/{name}    work that is told about            what a [Job] takes, a line for each event
//	POST /admin/streams/{name}     work that a stream is made by      what an [Stream] takes, the stream in frames
//	GET  /debug/pprof/         where a server spends its time     what net/http/pprof has
//
// # One folder, one owner
//
// The process that has a data folder open owns it. A server listens on the socket mirror.sock in its folder, which only
// its own user may connect to, and a command that finds it there is a client of it ([Dial]). Without a server, a command
// opens the folder itself and asks the very same handler, in its own process ([InProcess]). So a command is written once,
// and says the same either way.
//
// # Work
//
// What a mirror can be asked to do at length is in [Options], by name: a new command needs no new request here. The body
// of such a request is JSON in its first line. What follows that line, up to any size, is a stream that the work reads
// while it is answered, which may take until long after the answer began; a client ends its request by ending that
// stream, or leaves it when the answer has ended.
//
// A stream in an answer comes in frames: the length of what follows, in four bytes with the highest first, and so many
// bytes. An empty frame is its end. An error after that, or no empty frame, means that the stream is not whole.
//
// # Lines
//
// Long answers are lines of JSON (https://github.com/ndjson/ndjson-spec), each sent as soon as there is something to
// say. Errors have the form of the distribution specification, like those of /v2/; one that comes after the first line
// is a line of its own, the last. An answer that ends in any other way than cleanly is not complete, and the client says
// so. Empty lines mean nothing. Work that a request started ends when its client goes away.
package admin
