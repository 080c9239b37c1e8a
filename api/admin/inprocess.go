package admin

import (
	"context"
	"io"
	"net/http"
	"sync"
)

// InProcessTransport has requests answered by a handler in this process, with no network between: answers arrive as they
// are written, and a request that is cancelled, or whose answer is closed, ends the handler's context. It is safe for
// concurrent use.
type InProcessTransport struct {
	handler http.Handler
	work    sync.WaitGroup
}

// InProcess returns a transport to handler.
func InProcess(handler http.Handler) *InProcessTransport {
	return &InProcessTransport{handler: handler}
}

// Wait returns when the handler has ended with all requests: when it uses nothing any more that could be closed.
func (t *InProcessTransport) Wait() { t.work.Wait() }

// RoundTrip implements [http.RoundTripper].
func (t *InProcessTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancel(req.Context())
	served := req.Clone(ctx)
	switch {
	case served.Body == nil:
		served.Body = http.NoBody
	case served.ContentLength <= 0 && served.Body != http.NoBody:
		served.Body, served.ContentLength = pipeBody(ctx, req.Body), -1
	}
	served.RequestURI, served.RemoteAddr = req.URL.RequestURI(), "local"
	pr, pw := io.Pipe()
	// A handler that writes to a client that has stopped reading must end, too, and so must a client's reading.
	stop := context.AfterFunc(ctx, func() { pw.CloseWithError(ctx.Err()) })
	w := &responseWriter{header: make(http.Header), body: pw, started: make(chan struct{})}
	t.work.Go(func() {
		defer stop()
		defer served.Body.Close()
		defer func() {
			switch err := recover(); {
			case err == nil:
				w.WriteHeader(http.StatusOK)
				pw.Close()
			case err == http.ErrAbortHandler: //nolint:errorlint // net/http compares it so
				w.WriteHeader(http.StatusInternalServerError)
				pw.CloseWithError(io.ErrUnexpectedEOF)
			default:
				panic(err)
			}
		}()
		t.handler.ServeHTTP(w, served)
	})
	select {
	case <-w.started:
	case <-ctx.Done():
		cancel()
		return nil, context.Cause(req.Context())
	}
	return &http.Response{
		Status: http.StatusText(w.status), StatusCode: w.status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: w.sent, Body: &responseBody{PipeReader: pr, cancel: cancel}, ContentLength: -1, Request: req,
	}, nil
}

// feed returns a body that is what body reads, until ctx ends: also when a read of body does not.
func pipeBody(ctx context.Context, body io.ReadCloser) io.ReadCloser {
	pr, pw := io.Pipe()
	stop := context.AfterFunc(ctx, func() { pr.CloseWithError(ctx.Err()); pw.CloseWithError(ctx.Err()) })
	go func() {
		defer stop()
		defer body.Close()
		_, err := io.Copy(pw, body)
		pw.CloseWithError(err)
	}()
	return pr
}

// responseWriter is the handler's end of an answer.
type responseWriter struct {
	header  http.Header
	body    *io.PipeWriter
	started chan struct{} // closed when status and sent are there to read
	status  int
	sent    http.Header
}

func (w *responseWriter) Header() http.Header { return w.header }

func (w *responseWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status, w.sent = status, w.header.Clone()
		close(w.started)
	}
}

func (w *responseWriter) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(p)
}

// Flush has nothing to do: what is written has been read.
func (w *responseWriter) Flush() { w.WriteHeader(http.StatusOK) }

// EnableFullDuplex has nothing to do, for [http.ResponseController]: what is read is not waiting for what is written.
func (w *responseWriter) EnableFullDuplex() error { return nil }

// responseBody is the client's end.
type responseBody struct {
	*io.PipeReader
	cancel context.CancelFunc
}

// Close tells the handler that its client has gone.
func (b *responseBody) Close() error {
	b.cancel()
	return b.PipeReader.Close()
}
