// Package admin is the administration API of a mirror: its protocol, an HTTP handler and a client. Commands use it, and
// nothing in it depends on them.
//
//	GET  /api/v1/status          state of the mirror                  a Status
//	GET  /api/v1/mode            current mode                         a Mode
//	PUT  /api/v1/mode            switch the mode; takes a Mode        a Mode
//	PUT  /api/v1/read-only       switch read-only; takes a ReadOnly   a ReadOnly
//	POST /api/v1/reload          reload the configuration             a Reloaded
//	GET  /api/v1/images          stored images; see [Query]           a line for each Image
//	GET  /api/v1/images/page     a page of them; see [PageQuery]      an ImagePage
//	GET  /api/v1/images/counts   how many are stored                  a mirror.ImageCounts
//	GET  /api/v1/folders         parts of the names; ?in=             an array of Folder
//	GET  /api/v1/wants           wants                                an array of mirror.Want
//	POST /api/v1/wants/forget    delete wants; takes a ForgetRequest  a ForgetResult
//	POST /api/v1/jobs/{name}     run a [Job]                          a line for each [Event]
//	POST /api/v1/streams/{name}  run a [Stream]                       the stream, in frames
//	GET  /debug/pprof/           profiles of a server                 see net/http/pprof
//
// The paths begin with the version of the protocol.
//
// # Who may do what
//
// The context of a request says who sent it and what its sender may do ([WithAccess]). The table of routes has the right that
// each request needs. Lists leave out what the sender may not pull. Requests over the socket, and of commands in this process,
// may do everything ([Local]).
//
// # One folder, one owner
//
// The process that has a data folder open owns it. A server listens on the socket mirror.sock in its folder. Only its own
// user can connect to that socket. A command that finds a server there is its client ([Dial]). Otherwise the command opens
// the folder itself and calls the same handler in its own process ([InProcess]), so that a command is written once and
// works the same either way.
//
// # Jobs and streams
//
// Jobs and streams are registered by name in [Options]. The first line of a request is its JSON. The rest of the body, of
// any size, is input that the job reads while it answers. A client ends the input by ending the body, and may stop sending
// when the answer has ended. A job ends when its client disconnects.
//
// The events of a job are lines of JSON (https://github.com/ndjson/ndjson-spec), each sent at once: see [Event]. Empty
// lines keep the connection alive and have no meaning. The types of items and summaries are:
//
//	job             request                 items by kind                                   summary
//	sync            prefetch.Request        image: prefetch.Result                          prefetch.Summary
//	list-tags       prefetch.TagsRequest                                                    prefetch.TagList
//	import          transfer.ImportRequest  image: BundleImage, skipped, note: Notice,      transfer.Summary
//	                                        kept: transfer.KeptTag, next: transfer.NextVolume
//	export-plan     transfer.ExportRequest  image: BundleImage, skipped: Notice             transfer.Summary
//	export-sent     bundle.Document
//	export-history                          bundle: transfer.ExportedBundle
//	migrate         MigrateRequest          repository: MigratedRepository,                 migrate.Summary
//	                                        skipped: Notice, kept: transfer.KeptTag
//	collect         CollectRequest          plan: gc.Plan, candidate, protected, deleted,   gc.Result
//	                                        kept: gc.Candidate
//	remove          RemoveRequest           candidate, deleted, kept: gc.Candidate          RemoveSummary
//	verify          VerifyRequest           defect: mirror.VerifyEvent                      mirror.VerifySummary
//	compact         CompactRequest                                                          CompactSummary
//	usage           UsageRequest            repository: Usage                               Usage, of all repositories
//	pins                                    pin: mirror.Pin
//	pin, unpin      array of names          pin: mirror.Pin
//	tag             TagRequest                                                              Tagged
//
// A stream is sent in frames: the length of the frame as four bytes, the most significant first, then that many bytes. An
// empty frame ends the stream. A stream with an error after the empty frame, or without an empty frame, is not complete.
//
// # Errors
//
// Errors have the form of the OCI distribution specification. An error that occurs after the first line of an answer is
// sent as its last line. An answer whose connection breaks is not complete, and the client returns an error.
package admin
