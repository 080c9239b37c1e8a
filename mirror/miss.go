package mirror

import "strings"

// Definitive reports whether an upstream has answered that it does not have the content, or that it denies access. A
// request soon afterwards would get the same answer.
func Definitive(err error) bool {
	switch CodeOf(err) {
	case CodeManifestUnknown, CodeBlobUnknown, CodeNameUnknown, CodeDenied:
		return true
	}
	return false
}

// The ends of the messages of [MissError] and [UnknownRepo], by which their errors are recognized.
const (
	missSuffix        = " is not stored and cannot be fetched"
	unknownRepoSuffix = " is not stored and cannot be listed"
)

// MissError returns the error of a miss of ref with a reason. [MissReason] returns its parts.
func MissError(code Code, ref Ref, reason error) error {
	name := ref.String()
	if code == CodeBlobUnknown {
		name = "blob " + name
	}
	return &Error{Code: code, Message: name + missSuffix, Cause: reason}
}

// UnknownRepo returns the error for a repository that is neither stored nor listed by its upstream.
func UnknownRepo(repo Repo, reason error) error {
	return &Error{Code: CodeNameUnknown, Message: "repository " + repo.String() + unknownRepoSuffix, Cause: reason}
}

// MissReason returns the name and the reason of a [MissError]. ok is false for any other error.
func MissReason(err error) (name string, reason error, ok bool) {
	e, ok := err.(*Error)
	if !ok || e.Cause == nil {
		return "", nil, false
	}
	name, ok = strings.CutSuffix(e.Message, missSuffix)
	return name, e.Cause, ok
}

// TemporaryMiss reports whether err is the error of a miss that may succeed later, since no upstream has said that the
// content does not exist.
func TemporaryMiss(err error) bool {
	_, reason, ok := MissReason(err)
	if e, isError := err.(*Error); isError && e.Cause != nil && strings.HasSuffix(e.Message, unknownRepoSuffix) {
		reason, ok = e.Cause, true
	}
	return ok && !Definitive(reason)
}

const (
	// MissHeader is a header in which a mirror tells another mirror about a miss. The value [MissUnavailable] says that the
	// content of a 404 may be available later, or that a list lacks the items of an upstream.
	MissHeader = "Airmirror-Miss"
	// MissUnavailable is the value of MissHeader.
	MissUnavailable = "unavailable"
)
