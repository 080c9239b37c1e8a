package admin

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"go.uber.org/zap"
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

func (h *Handler) serveJob(w http.ResponseWriter, r *http.Request) error {
	job, known := h.opts.Jobs[r.PathValue("name")]
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
		return job(in.ctx, in.request, in.body, func(event Event) { lines.sendNow(event) })
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

func (h *Handler) serveStream(w http.ResponseWriter, r *http.Request) error {
	stream, known := h.opts.Streams[r.PathValue("name")]
	in, err := h.receive(w, r, known)
	if err != nil {
		return err
	}
	defer in.close()
	out := newFrameWriter(w)
	err = h.run(in, r, func() error { return stream(in.ctx, in.request, in.body, out) })
	h.notify(r, r.PathValue("name"), json.RawMessage(in.request), err)
	if err == nil || !out.started {
		return out.end(nil, err)
	}
	return out.end(&errorResponse{Errors: []errorBody{h.errorBody(r, err)}}, nil)
}

// run runs a job or stream and logs its start and end.
func (h *Handler) run(in *jobRequest, r *http.Request, do func() error) error {
	log := h.log.With(zap.String("request", r.URL.Path))
	log.Info("job started")
	err := do()
	switch {
	case in.ctx.Err() == nil:
		log.Info("job ended", zap.Error(err))
		return err
	case errors.Is(context.Cause(in.ctx), ErrShutdown):
		log.Info("job canceled", zap.Error(ErrShutdown))
	default:
		log.Info("job canceled: its client has disconnected", zap.NamedError("cause", context.Cause(in.ctx)))
	}
	return in.ctx.Err()
}
