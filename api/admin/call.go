package admin

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"airmirror/mirror"
)

// call asks and reads one answer into v.
func (c *Client) call(ctx context.Context, method, path string, body, v any) error {
	resp, err := c.ask(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(v); err != nil {
		return brokeOff(ctx, err)
	}
	return nil
}

// lines asks and calls each with every line of the answer.
func (c *Client) lines(ctx context.Context, method, path string, body any, each func(json.RawMessage) error) error {
	resp, err := c.ask(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	decoder := json.NewDecoder(resp.Body)
	for {
		var line json.RawMessage
		switch err := decoder.Decode(&line); {
		case err == io.EOF:
			return nil
		case err != nil:
			return brokeOff(ctx, err)
		}
		if refused := readError(line); refused != nil {
			return cmp.Or(context.Cause(ctx), refused) // who went away is not told that it did
		}
		if err := each(line); err != nil {
			return err
		}
	}
}

func (c *Client) ask(ctx context.Context, method, path string, body any) (*http.Response, error) {
	var content io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return nil, fmt.Errorf("write the request: %w", err)
		}
		content = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://mirror/admin/"+path, content)
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, brokeOff(ctx, err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if refused := readError(text); refused != nil {
		return nil, refused
	}
	return nil, errors.Join(fmt.Errorf("the mirror answers with status %d and no reason", resp.StatusCode), err)
}

// readError returns the error that a line or an answer consists of, if it does.
func readError(text []byte) error {
	var line errorLine
	if json.Unmarshal(text, &line) != nil || len(line.Errors) == 0 {
		return nil
	}
	e := line.Errors[0]
	return &mirror.Error{Code: e.Code, Message: e.Message, Detail: e.Detail}
}

// brokeOff is why an answer did not come, or not to its end.
func brokeOff(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if wrapped := (*url.Error)(nil); errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	return fmt.Errorf("the mirror broke off its answer: %w; its log says why", err)
}
