package admin

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"airmirror/api/registry"
	"airmirror/mirror"
)

// Token is an API token: an account for a program, with rights of its own. A client logs in with its name and its secret,
// as with a user, or sends the secret as a bearer token.
type Token struct {
	Name         string            `json:"name"`
	Actions      []registry.Action `json:"actions"`      // as in rules: pull, push, delete or admin
	Repositories []string          `json:"repositories"` // patterns, as in rules
	Created      time.Time         `json:"created"`
	CreatedBy    string            `json:"createdBy,omitempty"` // the user who created it
	Expires      time.Time         `json:"expires,omitzero"`    // zero for never
	// LastUsed is when the token was used last, to the hour; zero for never.
	LastUsed time.Time `json:"lastUsed,omitzero"`
}

// Expired reports whether a token has expired.
func (t Token) Expired(now time.Time) bool { return !t.Expires.IsZero() && !now.Before(t.Expires) }

// TokenRequest creates an API token.
type TokenRequest struct {
	Name         string            `json:"name"`
	Actions      []registry.Action `json:"actions"`
	Repositories []string          `json:"repositories"`
	Expires      time.Time         `json:"expires,omitzero"`
}

// NewToken is a token that was created, with its secret, which cannot be read again.
type NewToken struct {
	Token
	Secret string `json:"secret"`
}

// TokenStore keeps API tokens. Package auth implements it.
type TokenStore interface {
	// CreateToken creates a token for a user and returns it with its secret.
	CreateToken(ctx context.Context, req TokenRequest, createdBy string) (NewToken, error)
	// Tokens returns all tokens by name.
	Tokens(ctx context.Context) ([]Token, error)
	// RevokeToken deletes a token. It is [mirror.CodeNameUnknown] if there is none.
	RevokeToken(ctx context.Context, name string) error
}

func (h *Handler) tokens(w http.ResponseWriter, r *http.Request) error {
	store, err := h.tokenStore()
	if err != nil {
		return err
	}
	tokens, err := store.Tokens(r.Context())
	if err != nil {
		return err
	}
	return writeJSON(w, append([]Token{}, tokens...))
}

func (h *Handler) createToken(w http.ResponseWriter, r *http.Request) error {
	var req TokenRequest
	if err := readJSON(w, r, &req); err != nil {
		return err
	}
	store, err := h.tokenStore()
	if err != nil {
		return err
	}
	created, err := store.CreateToken(r.Context(), req, UserOf(r.Context()))
	h.notify(r, "token-create", req, err)
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	return writeJSON(w, created)
}

func (h *Handler) revokeToken(w http.ResponseWriter, r *http.Request) error {
	store, err := h.tokenStore()
	if err != nil {
		return err
	}
	name := r.PathValue("name")
	err = store.RevokeToken(r.Context(), name)
	h.notify(r, "token-revoke", map[string]string{"name": name}, err)
	if err != nil {
		return err
	}
	return writeJSON(w, struct{}{})
}

func (h *Handler) tokenStore() (TokenStore, error) {
	if h.opts.Tokens == nil {
		return nil, mirror.Errorf(mirror.CodeUnsupported, "this mirror has no API tokens")
	}
	return h.opts.Tokens, nil
}

// Tokens lists the API tokens.
func (c *Client) Tokens(ctx context.Context) (tokens []Token, err error) {
	return tokens, c.call(ctx, http.MethodGet, "tokens", nil, &tokens)
}

// CreateToken creates an API token and returns it with its secret.
func (c *Client) CreateToken(ctx context.Context, req TokenRequest) (created NewToken, err error) {
	return created, c.call(ctx, http.MethodPost, "tokens", req, &created)
}

// RevokeToken deletes an API token.
func (c *Client) RevokeToken(ctx context.Context, name string) error {
	return c.call(ctx, http.MethodDelete, "tokens/"+url.PathEscape(name), nil, new(struct{}))
}
