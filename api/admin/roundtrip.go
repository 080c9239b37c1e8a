package admin

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"airmirror/mirror"
)

// maxError is the maximum number of bytes that are read of an error.
const maxError = 1 << 20

// baseURL is the URL of the API. The transport knows the address of the mirror.
const baseURL = "http://mirror/api/v1/"

// call sends a request and decodes the answer into v.
func (c *Client) call(ctx context.Context, method, path string, request, v any) error {
	resp, _, err := c.do(ctx, method, path, request, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(v); err != nil {
		return connectionError(ctx, err)
	}
	return nil
}

// readLines sends a request and calls each with every line of the answer. A line is valid until each returns.
func (c *Client) readLines(ctx context.Context, method, path string, request any, body io.Reader, each func(json.RawMessage) error) error {
	resp, sent, err := c.do(ctx, method, path, request, body)
	if err != nil {
		return err
	}
	defer sent.Close()
	defer resp.Body.Close()
	lines := lineReader{from: bufio.NewReaderSize(resp.Body, 32<<10)}
	for {
		line, err := lines.next()
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return sent.cause(ctx, err)
		}
		if refused := decodeError(line); refused != nil {
			return sent.cause(ctx, refused)
		}
		if err := each(line); err != nil {
			return err
		}
	}
}

// lineReader reads the lines that a [lineWriter] has sent. It does not parse them, as a decoder of JSON would before the
// caller does so again.
type lineReader struct {
	from *bufio.Reader
	long []byte // a line that does not fit in the buffer
}

// next returns the next line that is not empty, or [io.EOF]. It is valid until the next call. The error of a line without an
// end is [io.ErrUnexpectedEOF].
func (r *lineReader) next() ([]byte, error) {
	for {
		line, err := r.from.ReadSlice('\n')
		for r.long = r.long[:0]; err == bufio.ErrBufferFull; line, err = r.from.ReadSlice('\n') {
			r.long = append(r.long, line...)
		}
		if len(r.long) > 0 {
			r.long = append(r.long, line...)
			line = r.long
		}
		if err == io.EOF && len(line) > 0 {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return nil, err
		}
		if line = bytes.TrimSpace(line); len(line) > 0 {
			return line, nil
		}
	}
}

// do sends a request with request as JSON, followed by body if that is not nil. The caller closes both results after it has
// read the answer.
func (c *Client) do(ctx context.Context, method, path string, request any, body io.Reader) (*http.Response, *requestBody, error) {
	var content io.Reader
	var sent *requestBody
	if request != nil {
		text, err := json.Marshal(request)
		if err != nil {
			return nil, nil, fmt.Errorf("encode the request: %w", err)
		}
		content = bytes.NewReader(text)
		if body != nil {
			sent = newRequestBody(text, body)
			content = sent
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, baseURL+path, content)
	if err != nil {
		return nil, nil, err
	}
	resp, err := c.send(ctx, req)
	if err != nil {
		sent.Close()
		return nil, nil, sent.cause(ctx, err)
	}
	return resp, sent, nil
}

// send sends a request. An answer with another status than 200 is an error.
func (c *Client) send(ctx context.Context, req *http.Request) (*http.Response, error) {
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, connectionError(ctx, err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxError))
	if refused := decodeError(text); refused != nil {
		return nil, refused
	}
	return nil, errors.Join(fmt.Errorf("the mirror answered with status %d without an error", resp.StatusCode), err)
}

// decode sends a request and decodes the answer into v.
func (c *Client) decode(ctx context.Context, req *http.Request, v any) error {
	resp, err := c.send(ctx, req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(v); err != nil {
		return connectionError(ctx, err)
	}
	return nil
}

// decodeError returns the error that text consists of, or nil if text is something else.
func decodeError(text []byte) error {
	if !bytes.HasPrefix(text, []byte(`{"errors":`)) { // most lines are no error
		return nil
	}
	var line errorResponse
	if json.Unmarshal(text, &line) != nil || len(line.Errors) == 0 {
		return nil
	}
	e := line.Errors[0]
	return &mirror.Error{Code: e.Code, Message: e.Message, Detail: e.Detail}
}

// incompleteError is the error for an answer that did not arrive completely.
type incompleteError struct{ cause error }

// Error implements error.
func (e *incompleteError) Error() string {
	return fmt.Sprintf("the answer of the mirror is incomplete: %v; see the log of the mirror", e.cause)
}

// Unwrap returns the cause.
func (e *incompleteError) Unwrap() error { return e.cause }

// connectionError returns an incompleteError, the error of the mirror that err is, or the cause of ctx if that has ended.
func connectionError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	refused, incomplete := (*mirror.Error)(nil), (*incompleteError)(nil)
	if errors.As(err, &refused) || errors.As(err, &incomplete) {
		return err
	}
	if wrapped := (*url.Error)(nil); errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	return &incompleteError{err}
}
