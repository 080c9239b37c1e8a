package admin

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"time"

	"airmirror/mirror"
)

// bufferSize is the size of the buffers for streams and bodies, in bytes.
const bufferSize = 256 << 10

// jobRequest is the request of a job or stream: the JSON in its first line, and the rest of the body.
type jobRequest struct {
	ctx     context.Context // ends when the client disconnects
	request json.RawMessage
	body    io.Reader
	hasBody bool // body may have content
	close   func()
}

// respondEarly lets the handler answer before it has read the whole body. By default, net/http reads the body first.
func respondEarly(w http.ResponseWriter) error {
	// The rest of an unread body must not be parsed as the next request.
	w.Header().Set("Connection", "close")
	if err := http.NewResponseController(w).EnableFullDuplex(); err != nil {
		return fmt.Errorf("enable full duplex: %w", err)
	}
	return nil
}

// readJobRequest reads the first line of a request. The caller calls close after the answer.
func readJobRequest(w http.ResponseWriter, r *http.Request) (*jobRequest, error) {
	limit := requestLimit(r.Context())
	bound := &io.LimitedReader{R: r.Body, N: limit + 1}
	buffered := bufio.NewReaderSize(bound, bufferSize)
	line, err := buffered.ReadBytes('\n')
	if bound.N == 0 && (err != nil || int64(len(line)) > limit) {
		return nil, errTooLarge(limit)
	}
	if err != nil && err != io.EOF {
		return nil, mirror.Errorf(mirror.CodeUnavailable, "read the request: %w", err)
	}
	if line = bytes.TrimSpace(line); len(line) == 0 {
		line = []byte("null")
	}
	ctx, cancel := context.WithCancelCause(r.Context())
	in := &jobRequest{ctx: ctx, request: line, body: http.NoBody, close: func() { cancel(nil) }}
	if err == io.EOF {
		return in, nil
	}
	bound.N = math.MaxInt64
	stop := context.AfterFunc(ctx, func() {
		// This unblocks a read from a connection. The body of an in-process request ends with ctx in any case.
		_ = http.NewResponseController(w).SetReadDeadline(time.Unix(1, 0))
	})
	in.hasBody, in.body = true, &body{ctx: ctx, r: buffered, cancel: cancel}
	in.close = func() { stop(); cancel(nil) }
	return in, nil
}

func errTooLarge(limit int64) error {
	return mirror.Errorf(mirror.CodeSizeInvalid, "the request is larger than %d bytes: split it", limit)
}

// body is the input that follows the first line of a request. Reading it fails when the client disconnects, so that a part
// of it is never mistaken for all of it.
type body struct {
	ctx    context.Context
	r      io.Reader
	cancel context.CancelCauseFunc
}

func (b *body) Read(p []byte) (int, error) {
	if b.ctx.Err() != nil {
		return 0, context.Cause(b.ctx)
	}
	n, err := b.r.Read(p)
	if err == nil || err == io.EOF {
		return n, err
	}
	if b.ctx.Err() == nil || errors.Is(context.Cause(b.ctx), context.Canceled) {
		b.cancel(mirror.Errorf(mirror.CodeUnavailable, "read the request: %w", err))
	}
	return n, context.Cause(b.ctx)
}
