package admin

import (
	"context"
	"io"
	"net/http"
	"sync"
)

// InProcessTransport sends requests to a handler in this process. The body of an answer arrives as the handler writes it. A
// request that is canceled, or whose answer is closed, cancels the context of the handler. It is safe for concurrent use.
type InProcessTransport struct {
	handler http.Handler
	work    sync.WaitGroup
}

// InProcess returns a transport to handler.
func InProcess(handler http.Handler) *InProcessTransport {
	return &InProcessTransport{handler: handler}
}

// Wait returns when the handler has returned from all requests.
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
	// Without this, a handler that writes to a client that has stopped reading would block, and so would a client that reads.
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
			case err == http.ErrAbortHandler: //nolint:errorlint // net/http compares it like this
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

// pipeBody returns a body with the content of body that ends when ctx ends, even while a read of body blocks.
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

// responseWriter is the [http.ResponseWriter] of the handler.
type responseWriter struct {
	header  http.Header
	body    *io.PipeWriter
	started chan struct{} // closed when status and sent are set
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

// Flush implements [http.Flusher]. The body is a pipe and has no buffer.
func (w *responseWriter) Flush() { w.WriteHeader(http.StatusOK) }

// EnableFullDuplex is for [http.ResponseController]. The bodies are two pipes, which are always full duplex.
func (w *responseWriter) EnableFullDuplex() error { return nil }

// responseBody is the body of the answer for the client.
type responseBody struct {
	*io.PipeReader
	cancel context.CancelFunc
}

// Close cancels the context of the handler.
func (b *responseBody) Close() error {
	b.cancel()
	return b.PipeReader.Close()
}
