package mirror

import "strings"

// Definitive reports whether err is an upstream's own word that it does not have something, or may not give it.
func Definitive(err error) bool {
	switch CodeOf(err) {
	case CodeManifestUnknown, CodeBlobUnknown, CodeNameUnknown, CodeDenied:
		return true
	}
	return false
}

const isUnheld = " is not held here and cannot be fetched"

// MissReason takes apart the answer to a miss: what it was about, as it is called in messages, and why it cannot be had.
func MissReason(err error) (what string, why error, ok bool) {
	e, ok := err.(*Error)
	if !ok || e.Cause == nil {
		return "", nil, false
	}
	what, ok = strings.CutSuffix(e.Message, isUnheld)
	return what, e.Cause, ok
}

const (
	// MissHeader is the header of a 404 in which one mirror tells another why: with [MissUnavailable] it does not have
	// what was asked for now, and perhaps another time. With a list it says that it lacks what an upstream would add.
	MissHeader      = "Airmirror-Miss"
	MissUnavailable = "unavailable"
)

// TemporaryMiss reports whether err is the answer to a miss of what may be there another time, and not an upstream's word
// that there is no such thing.
func TemporaryMiss(err error) bool {
	_, why, ok := MissReason(err)
	if e, known := err.(*Error); known && e.Cause != nil && strings.HasSuffix(e.Message, isUnknown) {
		why, ok = e.Cause, true
	}
	return ok && !Definitive(why)
}

// MissError is the answer to a miss of ref, with why it cannot be had. [MissReason] takes it apart.
func MissError(code Code, ref Ref, why error) error {
	what := ref.String()
	if code == CodeBlobUnknown {
		what = "blob " + what
	}
	return &Error{Code: code, Message: what + isUnheld, Cause: why}
}

const isUnknown = " is not known here"

// UnknownRepo is the error for a repository that is neither stored nor listed by its upstream.
func UnknownRepo(repo Repo, why error) error {
	return &Error{Code: CodeNameUnknown, Message: "repository " + repo.String() + isUnknown, Cause: why}
}
