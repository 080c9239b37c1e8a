package ui

import (
	"airmirror/mirror"
)

// loginData is what the page for logging in shows.
type loginData struct {
	Back, Name string
	Error      *failure
}

func loginPage(r *request) (any, error) {
	return loginData{Back: backOf(r.URL.Query().Get("back"))}, nil
}

// login begins a session and continues with the page that the client wanted.
func login(r *request) (outcome, error) {
	name, back := r.PostFormValue("name"), backOf(r.PostFormValue("back"))
	if err := r.sessions.Login(r.w, r.Request, name, r.PostFormValue("password")); err != nil {
		return outcome{show: "login", data: loginData{Back: back, Name: name, Error: &failure{Code: mirror.CodeOf(err), Message: err.Error()}}}, nil
	}
	return outcome{to: back}, nil
}

func logout(r *request) (outcome, error) {
	r.sessions.Logout(r.w, r.Request)
	return outcome{to: "."}, nil
}
