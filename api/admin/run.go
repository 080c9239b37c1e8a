package admin

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"go.uber.org/zap"

	"airmirror/sync/progress"
)

// Job is work that reports events to its client while it runs. request is the JSON of the request, or "null". body is
// what follows the request; it is empty for most jobs and need not be read to its end. The job may call report from any
// goroutine, but not after it has returned. ctx ends and reading body fails when the client disconnects or the mirror
// stops; the job returns soon after that. The job reports a failure of a part of the work as an event. The job returns
// an error if it cannot parse the request, as a [mirror.Error], or cannot do anything at all.
type Job func(ctx context.Context, request json.RawMessage, body io.Reader, report Report) error

// Stream is work whose answer is a stream of bytes, which it writes to out from one goroutine. request, body and ctx are
// those of a [Job]. The client receives a complete stream only if the error is nil.
type Stream func(ctx context.Context, request json.RawMessage, body io.Reader, out io.Writer) error

// ErrShutdown is the cause with which a server cancels the contexts of its requests when it shuts down.
var ErrShutdown = errors.New("the mirror is shutting down")

// keepAliveInterval is the time after which a silent job sends an empty line while its client may still send input. A
// failing write is the only sign that such a client has disconnected: net/http reports it only after the whole body was
// read.
const keepAliveInterval = time.Second / 2

// serveCall runs a short operation while its client waits, and answers with its events.
func (h *Handler) serveCall(w http.ResponseWriter, r *http.Request) error {
	call, known := h.opts.Calls[r.PathValue("name")]
	in, err := h.receive(w, r, known)
	if err != nil {
		return err
	}
	defer in.close()
	lines := h.newLineWriter(w, r)
	err = h.run(in, r, func() error {
		if in.hasBody {
			defer lines.keepAlive(keepAliveInterval)()
		}
		return call(in.ctx, in.request, in.body, func(event Event) { lines.sendNow(event) })
	})
	h.notify(r, r.PathValue("name"), json.RawMessage(in.request), err)
	return lines.end(err)
}

// receive reads the request of a job or stream, or returns an error if known is false. The caller calls close after the
// answer.
func (h *Handler) receive(w http.ResponseWriter, r *http.Request, known bool) (*jobRequest, error) {
	if err := respondEarly(w); err != nil {
		return nil, err
	}
	if !known {
		return nil, h.unknown(w, r)
	}
	return readJobRequest(w, r)
}

// serveStream runs a stream. It is listed as a job, and canceled with its client.
func (h *Handler) serveStream(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("name")
	stream, known := h.opts.Streams[name]
	in, err := h.receive(w, r, known)
	if err != nil {
		return err
	}
	defer in.close()
	j := newJob(in.ctx, name, r)
	in.ctx = j.ctx
	if err := h.addJob(j, in.request); err != nil {
		return err
	}
	defer h.jobs.work.Done()
	out := newFrameWriter(w)
	progress := Report(j.report).NewReporter()
	err = h.run(in, r, func() error { return stream(in.ctx, in.request, in.body, &countingWriter{out, in.ctx, progress}) })
	progress.Close()
	h.endJob(j, in.request, err)
	if err == nil || !out.started {
		return out.end(nil, err)
	}
	return out.end(&errorResponse{Errors: []errorBody{h.errorBody(r, err)}}, nil)
}

// run runs a call or stream and logs its start and end.
func (h *Handler) run(in *jobRequest, r *http.Request, do func() error) error {
	log := h.log.With(zap.String("request", r.URL.Path))
	log.Info("job started")
	err := do()
	switch cause := context.Cause(in.ctx); {
	case in.ctx.Err() == nil:
		log.Info("job ended", zap.Error(err))
		return err
	case r.Context().Err() == nil:
		log.Info("job canceled", zap.Error(cause))
		return cause
	case errors.Is(cause, ErrShutdown):
		log.Info("job canceled", zap.Error(ErrShutdown))
	default:
		log.Info("job canceled: its client has disconnected", zap.NamedError("cause", cause))
	}
	return in.ctx.Err()
}

// countingWriter reports the progress of a stream. Writing fails when the stream is canceled.
type countingWriter struct {
	*frameWriter
	ctx      context.Context
	progress *progress.Reporter
}

// Write implements [io.Writer].
func (c *countingWriter) Write(p []byte) (int, error) {
	if _, err := counter(*c).Write(p); err != nil {
		return 0, err
	}
	return c.frameWriter.Write(p)
}

// ReadFrom implements [io.ReaderFrom].
func (c *countingWriter) ReadFrom(r io.Reader) (int64, error) {
	return c.frameWriter.ReadFrom(io.TeeReader(r, counter(*c)))
}

// counter counts what is written to it.
type counter countingWriter

// Write implements [io.Writer].
func (c counter) Write(p []byte) (int, error) {
	if c.ctx.Err() != nil {
		return 0, context.Cause(c.ctx)
	}
	c.progress.AddDone(int64(len(p)))
	return len(p), nil
}
