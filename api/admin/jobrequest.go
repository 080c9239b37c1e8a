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

// bufferSize is how many bytes of a stream are moved at a time.
const bufferSize = 256 << 10

// incoming is a request for work: JSON in its first line, and what is read of the rest while it is answered.
type jobRequest struct {
	ctx     context.Context // ends with the client
	request json.RawMessage
	body    io.Reader
	hasBody bool // there may be something in body
	close   func()
}

// early has a request answered whether it has been read or not, where net/http would read on first.
func respondEarly(w http.ResponseWriter) error {
	// What was not read of a body must not be read as the next request.
	w.Header().Set("Connection", "close")
	if err := http.NewResponseController(w).EnableFullDuplex(); err != nil {
		return fmt.Errorf("read and answer at the same time: %w", err)
	}
	return nil
}

// receive reads the first line of a request. The caller calls end when it is answered.
func readJobRequest(w http.ResponseWriter, r *http.Request) (*jobRequest, error) {
	bound := &io.LimitedReader{R: r.Body, N: maxRequest + 1}
	buffered := bufio.NewReaderSize(bound, bufferSize)
	line, err := buffered.ReadBytes('\n')
	if bound.N == 0 && (err != nil || len(line) > maxRequest) {
		return nil, errTooLarge()
	}
	if err != nil && err != io.EOF {
		return nil, mirror.Errorf(mirror.CodeUnavailable, "the request broke off: %w", err)
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
		// A body in this process ends with ctx of itself.
		_ = http.NewResponseController(w).SetReadDeadline(time.Unix(1, 0))
	})
	in.hasBody, in.body = true, &body{ctx: ctx, r: buffered, cancel: cancel}
	in.close = func() { stop(); cancel(nil) }
	return in, nil
}

func errTooLarge() error {
	return mirror.Errorf(mirror.CodeSizeInvalid, "the request is larger than %d bytes: split it", maxRequest)
}

// body is what follows the first line of a request. A part of it is never taken for the whole: it ends with its client.
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
		b.cancel(mirror.Errorf(mirror.CodeUnavailable, "the request broke off: %w", err))
	}
	return n, context.Cause(b.ctx)
}
