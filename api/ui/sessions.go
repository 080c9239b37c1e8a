package ui

import (
	"context"
	"net/http"
)

// Sessions identifies the clients of the console, and signs users in and out.
type Sessions interface {
	// Identify returns who sent a request, and a context with which the admin API allows what that client may do.
	Identify(r *http.Request) (context.Context, User)
	// Login begins a session of a user, with a cookie in the answer. The error says why not.
	Login(w http.ResponseWriter, r *http.Request, name, password string) error
	// Logout ends the session of the client.
	Logout(w http.ResponseWriter, r *http.Request)
}

// User is a client of the console.
type User struct {
	Name string // "" if the client is anonymous
	// Admin says that the client may administer the mirror, and Delete that it may delete images of any repository. Pages
	// offer only what a client may do. The admin API decides.
	Admin, Delete bool
	// CanLogin says that the mirror has users.
	CanLogin bool
}

// anonymous is the [Sessions] of a mirror without any: nobody may change anything.
type anonymous struct{}

func (anonymous) Identify(r *http.Request) (context.Context, User) { return r.Context(), User{} }

func (anonymous) Login(http.ResponseWriter, *http.Request, string, string) error { return errNoLogin }

func (anonymous) Logout(http.ResponseWriter, *http.Request) {}
