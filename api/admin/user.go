package admin

import (
	"context"
	"net/http"
	"net/url"
)

// PasswordRequest sets the password of a user.
type PasswordRequest struct {
	Password string `json:"password"`
}

// UserChange is the result of a change of a user.
type UserChange struct {
	User  string `json:"user"`
	Added bool   `json:"added,omitempty"` // false after a change of the password
}

// setPassword sets the password of a user, who is created if necessary. The password is in no log.
func (h *Handler) setPassword(w http.ResponseWriter, r *http.Request) error {
	var req PasswordRequest
	if err := readJSON(w, r, &req); err != nil {
		return err
	}
	if h.opts.Access == nil {
		return errNoAccessControl
	}
	change := UserChange{User: r.PathValue("name")}
	var err error
	change.Added, err = h.opts.Access.SetPassword(change.User, req.Password)
	h.notify(r, "user-add", UserChange{User: change.User}, err)
	if err != nil {
		return err
	}
	return writeJSON(w, change)
}

// SetPassword sets the password of a user of the server, and reports whether the user is new.
func (c *Client) SetPassword(ctx context.Context, name, password string) (added bool, err error) {
	var change UserChange
	err = c.call(ctx, http.MethodPut, "users/"+url.PathEscape(name), PasswordRequest{Password: password}, &change)
	return change.Added, err
}
