package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"

	"airmirror/mirror"
)

// Client asks a mirror, in another process or in this one. What the mirror refuses is a [mirror.Error], as if the
// mirror had been called. It is safe for concurrent use.
type Client struct{ http http.Client }

// NewClient returns a client that asks by way of transport: what [Dial] or [InProcess] returned.
func NewClient(transport http.RoundTripper) *Client {
	return &Client{http.Client{Transport: transport}}
}

// Status says how the mirror is doing.
func (c *Client) Status(ctx context.Context) (status Status, err error) {
	return status, c.call(ctx, http.MethodGet, "status", nil, &status)
}

// Mode returns the mode that the mirror is in.
func (c *Client) Mode(ctx context.Context) (mode Mode, err error) {
	return mode, c.call(ctx, http.MethodGet, "mode", nil, &mode)
}

// SetMode switches to a mode, and says which one it was before.
func (c *Client) SetMode(ctx context.Context, to mirror.Mode) (mode Mode, err error) {
	return mode, c.call(ctx, http.MethodPut, "mode", Mode{Mode: to}, &mode)
}

// SetReadOnly has the mirror write nothing, or write again, and says which it was before.
func (c *Client) SetReadOnly(ctx context.Context, on bool) (was bool, err error) {
	var answer ReadOnly
	err = c.call(ctx, http.MethodPut, "read-only", ReadOnly{On: on}, &answer)
	return answer.Was, err
}

// Reload has the server read its settings again, and says what that changed.
func (c *Client) Reload(ctx context.Context) (reloaded Reloaded, err error) {
	return reloaded, c.call(ctx, http.MethodPost, "reload", struct{}{}, &reloaded)
}

// Wants lists what clients asked for and could not be given.
func (c *Client) Wants(ctx context.Context) (wants []mirror.Want, err error) {
	return wants, c.call(ctx, http.MethodGet, "wants", nil, &wants)
}

// ForgetWants strikes off the wants that match any of the patterns, all if there are none, and says how many. One that
// matches nothing is a [mirror.CodeManifestUnknown], and nothing is struck off then.
func (c *Client) ForgetWants(ctx context.Context, patterns ...string) (int, error) {
	var forgotten ForgetResult
	err := c.call(ctx, http.MethodPost, "wants/forget", ForgetRequest{Match: patterns}, &forgotten)
	return forgotten.Count, err
}

// Query says which images are listed; all of them if it is zero.
type Query struct {
	// Match are patterns: library/alpine, ghcr.io, library/*:3.*.
	Match []string
	// Incomplete leaves out what is complete.
	Incomplete bool
}

// Images lists what is held, in the order of repository and tag.
func (c *Client) Images(ctx context.Context, q Query) iter.Seq2[Image, error] {
	query := url.Values{"match": q.Match}
	if q.Incomplete {
		query.Set("incomplete", "1")
	}
	return func(yield func(Image, error) bool) {
		errStop := errors.New("enough")
		err := c.readLines(ctx, http.MethodGet, "images?"+query.Encode(), nil, nil, func(line json.RawMessage) error {
			var image Image
			if err := json.Unmarshal(line, &image); err != nil {
				return fmt.Errorf("read an image from the mirror's answer: %w", err)
			}
			if !yield(image, nil) {
				return errStop
			}
			return nil
		})
		if err != nil && !errors.Is(err, errStop) {
			yield(Image{}, err)
		}
	}
}

// Job runs the [Job] of that name with request, and calls each with every event. body, unless it is nil, is sent while the
// job runs, up to the point that the job reads to; a read of it may still be in progress when Job returns, but none begins
// after that. When ctx ends, reading body fails, or each returns an error, the mirror stops the job.
func (c *Client) Job(ctx context.Context, name string, request any, body io.Reader, each func(Event) error) error {
	return c.readLines(ctx, http.MethodPost, "jobs/"+url.PathEscape(name), nullIfNone(request), body, func(line json.RawMessage) error {
		var event Event
		if err := json.Unmarshal(line, &event); err != nil {
			return fmt.Errorf("decode an event of the mirror: %w", err)
		}
		return each(event)
	})
}

// Stream runs the [Stream] of that name with request, and copies its bytes to w. It returns their number; without an
// error, the stream is complete. body is that of [Client.Job]. When ctx ends, or reading body or writing to w fails, the
// mirror stops the stream.
func (c *Client) Stream(ctx context.Context, name string, request any, body io.Reader, w io.Writer) (int64, error) {
	resp, sent, err := c.do(ctx, http.MethodPost, "streams/"+url.PathEscape(name), nullIfNone(request), body)
	if err != nil {
		return 0, err
	}
	defer sent.Close()
	defer resp.Body.Close()
	n, err := readFrames(resp.Body, w)
	return n, sent.cause(ctx, err)
}

// nullIfNone has a request for work say something in its first line.
func nullIfNone(request any) any {
	if request == nil {
		return json.RawMessage("null")
	}
	return request
}
