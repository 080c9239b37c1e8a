package admin

import (
	"context"
	"net/http"

	"airmirror/mirror"
)

// ConsoleLink is an address of the web console.
type ConsoleLink struct {
	URL string `json:"url"`
	// ValidFor is for how many seconds the URL logs in, once; zero if it leads to the page for logging in.
	ValidFor int `json:"validFor,omitempty"`
}

// consoleLink makes a link. It is for the machine of the mirror: who has a link administers a mirror without users.
func (h *Handler) consoleLink(w http.ResponseWriter, r *http.Request) error {
	if h.opts.ConsoleLink == nil {
		return mirror.Errorf(mirror.CodeUnsupported, "no server runs on %s: start it with 'mirror serve'", h.opts.Data)
	}
	link, err := h.opts.ConsoleLink()
	h.notify(r, "console-link", nil, err)
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	return writeJSON(w, link)
}

// ConsoleLink returns an address of the web console. While no user has a password, it logs in once within a minute.
func (c *Client) ConsoleLink(ctx context.Context) (link ConsoleLink, err error) {
	return link, c.call(ctx, http.MethodPost, "console-link", struct{}{}, &link)
}
