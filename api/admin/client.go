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

	"airmirror/gc"
	"airmirror/mirror"
)

// Client is a client of the admin API of one mirror, in another process or in this one. An error in the answer of the
// mirror is a [mirror.Error]. A Client is safe for concurrent use.
type Client struct{ http http.Client }

// NewClient returns a client that sends its requests by transport, which [Dial] or [InProcess] returned.
func NewClient(transport http.RoundTripper) *Client {
	return &Client{http.Client{Transport: transport}}
}

// Transport returns what the client sends its requests by.
func (c *Client) Transport() http.RoundTripper { return c.http.Transport }

// Status returns the state of the mirror.
func (c *Client) Status(ctx context.Context) (status Status, err error) {
	return status, c.call(ctx, http.MethodGet, "status", nil, &status)
}

// Mode returns the mode of the mirror.
func (c *Client) Mode(ctx context.Context) (mode Mode, err error) {
	return mode, c.call(ctx, http.MethodGet, "mode", nil, &mode)
}

// SetMode switches the mode and returns the new and the previous one.
func (c *Client) SetMode(ctx context.Context, to mirror.Mode) (mode Mode, err error) {
	return mode, c.call(ctx, http.MethodPut, "mode", Mode{Mode: to}, &mode)
}

// SetReadOnly switches read-only on or off and returns the previous state.
func (c *Client) SetReadOnly(ctx context.Context, on bool) (was bool, err error) {
	var answer ReadOnly
	err = c.call(ctx, http.MethodPut, "read-only", ReadOnly{On: on}, &answer)
	return answer.Was, err
}

// Reload reloads the configuration of the server and returns what changed.
func (c *Client) Reload(ctx context.Context) (reloaded Reloaded, err error) {
	return reloaded, c.call(ctx, http.MethodPost, "reload", struct{}{}, &reloaded)
}

// StorageHistory returns how much was stored on each of the last days, the oldest first.
func (c *Client) StorageHistory(ctx context.Context) (samples []gc.Sample, err error) {
	return samples, c.call(ctx, http.MethodGet, "storage/history", nil, &samples)
}

// Transfers returns what the mirror fetches from upstreams.
func (c *Client) Transfers(ctx context.Context) (transfers mirror.Transfers, err error) {
	return transfers, c.call(ctx, http.MethodGet, "transfers", nil, &transfers)
}

// Changes returns a page of the latest changes.
func (c *Client) Changes(ctx context.Context, q ChangeQuery) (page ChangePage, err error) {
	return page, c.call(ctx, http.MethodGet, "changes?"+q.values().Encode(), nil, &page)
}

// Wants returns the images and blobs that clients requested and could not get.
func (c *Client) Wants(ctx context.Context) (wants []mirror.Want, err error) {
	return wants, c.call(ctx, http.MethodGet, "wants", nil, &wants)
}

// ForgetWants deletes the wants that match any of the patterns, or all wants if there is no pattern, and returns their
// number. If a pattern matches no want, it deletes none and returns a [mirror.CodeManifestUnknown].
func (c *Client) ForgetWants(ctx context.Context, patterns ...string) (int, error) {
	var forgotten ForgetResult
	err := c.call(ctx, http.MethodPost, "wants/forget", ForgetRequest{Match: patterns}, &forgotten)
	return forgotten.Count, err
}

// ImagePage returns a page of the stored images, and whether the list continues.
func (c *Client) ImagePage(ctx context.Context, q PageQuery) (page ImagePage, err error) {
	return page, c.call(ctx, http.MethodGet, "images/page?"+q.values().Encode(), nil, &page)
}

// ImageCounts returns how many images are stored.
func (c *Client) ImageCounts(ctx context.Context) (counts mirror.ImageCounts, err error) {
	return counts, c.call(ctx, http.MethodGet, "images/counts", nil, &counts)
}

// ImageDetails returns what is stored of an image, with the text of its manifest if raw is set.
func (c *Client) ImageDetails(ctx context.Context, name string, raw bool) (details ImageDetails, err error) {
	query := url.Values{"image": {name}}
	if raw {
		query.Set("raw", "1")
	}
	return details, c.call(ctx, http.MethodGet, "images/details?"+query.Encode(), nil, &details)
}

// Images lists the stored images by repository and tag.
func (c *Client) Images(ctx context.Context, q Query) iter.Seq2[Image, error] {
	return func(yield func(Image, error) bool) {
		errStop := errors.New("stopped by the caller")
		err := c.readLines(ctx, http.MethodGet, "images?"+q.values().Encode(), nil, nil, func(line json.RawMessage) error {
			var image Image
			if err := json.Unmarshal(line, &image); err != nil {
				return fmt.Errorf("decode an image of the mirror: %w", err)
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

// Call runs the call of that name with request, and calls each with every event. body, unless it is nil, is sent while the
// call runs, up to the point that the call reads to; a read of it may still be in progress when Call returns, but none
// begins after that. When ctx ends, reading body fails, or each returns an error, the mirror stops the call.
func (c *Client) Call(ctx context.Context, name string, request any, body io.Reader, each func(Event) error) error {
	return c.readLines(ctx, http.MethodPost, "calls/"+url.PathEscape(name), nullIfNone(request), body, eachEvent(each))
}

// eachEvent returns a function that decodes lines and calls each with them.
func eachEvent(each func(Event) error) func(json.RawMessage) error {
	return func(line json.RawMessage) error {
		var event Event
		if err := json.Unmarshal(line, &event); err != nil {
			return fmt.Errorf("decode an event of the mirror: %w", err)
		}
		return each(event)
	}
}

// Stream runs the [Stream] of that name with request, and copies its bytes to w. It returns their number; without an
// error, the stream is complete. body is that of [Client.Call]. When ctx ends, or reading body or writing to w fails, the
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

// nullIfNone returns JSON null in place of nil, so that the first line of a request is not empty.
func nullIfNone(request any) any {
	if request == nil {
		return json.RawMessage("null")
	}
	return request
}
