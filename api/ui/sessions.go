package ui

import (
	"net/http"

	"airmirror/api/admin"
	"airmirror/api/registry"
)

// Sessions logs users in and out. Package auth implements it.
type Sessions interface {
	// Login begins a session of a user, with a cookie in the answer. The error says why not.
	Login(w http.ResponseWriter, r *http.Request, name, password string) error
	// LoginByLink begins a session for the secret of a one-time link.
	LoginByLink(w http.ResponseWriter, r *http.Request, secret string) error
	// Logout ends the session of the client.
	Logout(w http.ResponseWriter, r *http.Request)
}

// user is a client of the console. Pages offer only what it may do. The admin API decides.
type user struct {
	Name          string // "" if the client is anonymous
	Admin, Delete bool   // it may administer the mirror, and delete images in some repository
	CanLogin      bool   // a login may give it more rights
}

func userOf(a admin.Access) user {
	return user{Name: a.User, Admin: a.IsAdmin(), Delete: a.AllowsAny(registry.Delete), CanLogin: a.CanLogIn}
}

// noSessions are the [Sessions] of a mirror where nobody can log in.
type noSessions struct{}

func (noSessions) Login(http.ResponseWriter, *http.Request, string, string) error { return errNoLogin }

func (noSessions) LoginByLink(http.ResponseWriter, *http.Request, string) error { return errNoLogin }

func (noSessions) Logout(http.ResponseWriter, *http.Request) {}
