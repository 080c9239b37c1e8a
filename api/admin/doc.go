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
//	GET  /api/v1/images/details  what is stored of ?image=; ?raw=     an ImageDetails
//	GET  /api/v1/storage/history how much was stored on each day      an array of gc.Sample
//	GET  /api/v1/transfers       running downloads, and the backfill  a mirror.Transfers
//	GET  /api/v1/changes         latest changes; see [ChangeQuery]    a ChangePage
//	GET  /api/v1/wants           wants                                an array of mirror.Want
//	POST /api/v1/wants/forget    delete wants; takes a ForgetRequest  a ForgetResult
//	POST /api/v1/calls/{name}    run a call                           a line for each [Event]
//	POST /api/v1/streams/{name}  run a [Stream]                       the stream, in frames
//	GET  /debug/pprof/           profiles of a server                 see net/http/pprof
//
//	POST   /api/v1/jobs/{name}        start a [Job]; takes its request; ?input=1 ?attached=1  a JobStatus
//	GET    /api/v1/jobs               running jobs, and those that ended lately               an array of JobStatus
//	GET    /api/v1/jobs/{id}          one of them                                             a JobStatus
//	GET    /api/v1/jobs/{id}/events   watch it; Last-Event-ID or ?after=                      its events
//	HEAD   /api/v1/jobs/{id}/input    where its input continues                               Upload-Offset
//	PATCH  /api/v1/jobs/{id}/input    send input; Upload-Offset, Upload-Complete              a JobStatus
//	DELETE /api/v1/jobs/{id}          cancel it                                               a JobStatus
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
// # Jobs
//
// A job is work that can take long: a sync, an import, a migration, a collection, a verification, a compaction. It has an ID,
// and goes on when the client that started it leaves. It ends by itself, when a client cancels it, or when the mirror
// stops; its watchers receive the reason. The mirror keeps the latest 200 ended jobs for 30 days, with their summary or
// error, also when it is restarted, and their events until then. A job that the mirror was killed with is canceled.
//
// An attached job (?attached=1) belongs to the client that started it, as a command that shows the result does. It is
// canceled when no connection with ?attach=1 watches it for 30 seconds; on the admin socket at once, as there only the end
// of a client ends a connection. It waits for its client to read its events.
//
// The events of a job are sent as they happen, to any number of watchers: as server-sent events if the client accepts
// text/event-stream, else as lines of JSON. Items and the summary are numbered. A watcher that was disconnected continues
// after the number that it names. Progress has no number: a watcher receives the latest. A job keeps 1 MiB of events; a
// watcher that needs older ones receives a dropped event with their number. The last event has the kind end, for server-sent
// events also that name, with the JobStatus; the last line is the error of a job that failed. Every 15 seconds without
// an event a comment or an empty line is sent.
//
// The input of a job is sent like a resumable upload (draft-ietf-httpbis-resumable-upload), in one request or several. The
// request with Upload-Complete: ?1, which is the default, is the last one. The offset is what the job has read, so that a
// client whose connection broke continues there. A new request for or with input interrupts an earlier one. A request is
// answered when the job has read it; bytes that the job does not need are not read. If for 10 minutes no request sends
// input, the job is canceled.
//
// # Calls and streams
//
// A call is short work. It answers with its events as lines of JSON (https://github.com/ndjson/ndjson-spec), each sent at
// once. A stream answers with bytes; while it runs and afterwards it is also listed as a job. Both end when their client
// disconnects. The first line of a request is its JSON. The rest of the body, of any size, is input that the call reads
// while it answers. A client ends the input by ending the body, and may stop sending when the answer has ended. Empty lines
// keep the connection alive and have no meaning.
//
// Jobs, calls and streams are registered by name in [Options]. The types of items and summaries are:
//
//	job             request                 items by kind                                   summary
//	sync            prefetch.Request        image: prefetch.Result                          prefetch.Summary
//	import          transfer.ImportRequest  image: BundleImage, skipped, note: Notice,      transfer.Summary
//	                                        kept: transfer.KeptTag, next: transfer.NextVolume
//	migrate         MigrateRequest          repository: MigratedRepository,                 migrate.Summary
//	                                        skipped: Notice, kept: transfer.KeptTag
//	collect         CollectRequest          plan: gc.Plan, candidate, protected, deleted,   gc.Result
//	                                        kept: gc.Candidate
//	verify          VerifyRequest           defect: mirror.VerifyEvent                      mirror.VerifySummary
//	compact         CompactRequest                                                          CompactSummary
//
//	call            request                 items by kind                                   summary
//	list-tags       prefetch.TagsRequest                                                    prefetch.TagList
//	export-plan     transfer.ExportRequest  image: BundleImage, skipped: Notice             transfer.Summary
//	export-sent     bundle.Document
//	export-history                          bundle: transfer.ExportedBundle
//	remove          RemoveRequest           candidate, deleted, kept: gc.Candidate          RemoveSummary
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
