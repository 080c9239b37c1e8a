package admin

import (
	"context"
	"net/http"
	"net/url"

	"airmirror/mirror"
)

// PasswordRequest sets the password of a user.
type PasswordRequest struct {
	Password string `json:"password"`
}

// UserChange is the result of a change of a user.
type UserChange struct {
	User    string `json:"user"`
	Added   bool   `json:"added,omitempty"` // false after a change of the password
	Removed bool   `json:"removed,omitempty"`
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

// removeUser removes a user. Nobody can remove themselves: the last administrator would lock everybody out.
func (h *Handler) removeUser(w http.ResponseWriter, r *http.Request) error {
	if h.opts.Access == nil {
		return errNoAccessControl
	}
	change := UserChange{User: r.PathValue("name"), Removed: true}
	var err error
	if access := AccessOf(r.Context()); !access.Local && access.User == change.User {
		err = mirror.Errorf(mirror.CodeDenied, "%s cannot remove themselves: log in as another user, or use 'mirror user rm' on the machine of the mirror", change.User)
	} else {
		err = h.opts.Access.RemoveUser(change.User)
	}
	h.notify(r, "user-remove", UserChange{User: change.User}, err)
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

// RemoveUser removes a user of the server.
func (c *Client) RemoveUser(ctx context.Context, name string) error {
	return c.call(ctx, http.MethodDelete, "users/"+url.PathEscape(name), nil, &UserChange{})
}
