package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"

	"airmirror/mirror"
)

// Client asks a mirror, in another process or in this one. What the mirror refuses is a [mirror.Error], as if the
// mirror had been called. It is safe for concurrent use.
type Client struct{ http http.Client }

// NewClient returns a client that asks by way of transport: what [Dial] or [Local] returned.
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

// Wants lists what clients asked for and could not be given.
func (c *Client) Wants(ctx context.Context) (wants []mirror.Want, err error) {
	return wants, c.call(ctx, http.MethodGet, "wants", nil, &wants)
}

// ForgetWants strikes off the wants that match any of the patterns, all if there are none, and says how many. One that
// matches nothing is a [mirror.CodeManifestUnknown], and nothing is struck off then.
func (c *Client) ForgetWants(ctx context.Context, patterns ...string) (int, error) {
	var forgotten Forgotten
	err := c.call(ctx, http.MethodPost, "wants/forget", Forget{Match: patterns}, &forgotten)
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
		err := c.lines(ctx, http.MethodGet, "images?"+query.Encode(), nil, func(line json.RawMessage) error {
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

// Sync has images fetched, as request asks a [Syncer] to, and calls tell with each event. When ctx ends, or tell returns
// an error, the mirror stops what it does for this request.
func (c *Client) Sync(ctx context.Context, request any, tell func(event json.RawMessage) error) error {
	return c.lines(ctx, http.MethodPost, "sync", request, tell)
}
