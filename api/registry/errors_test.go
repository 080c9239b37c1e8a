package registry

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"airmirror/mirror"
)

func TestErrorsContainNoPaths(t *testing.T) {
	path := &fs.PathError{Op: "open", Path: "/srv/data/x", Err: fs.ErrNotExist}
	link := &os.LinkError{Op: "rename", Old: "/srv/data/x", New: "/srv/data/y", Err: fs.ErrPermission}
	for want, err := range map[string]error{
		"not known: file does not exist":                  &mirror.Error{Message: "not known", Cause: path},
		"broke off: write: file does not exist":           mirror.Errorf("", "broke off: %w", fmt.Errorf("write: %w", path)),
		"two: file does not exist\npermission denied":     &mirror.Error{Message: "two", Cause: errors.Join(path, link)},
		"not held in docker.io/srv/data: the upstream is": mirror.Errorf("", "not held in docker.io/srv/data: the upstream is"),
	} {
		if got := redact(err); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestStoreErrors: a full disk has its own error code. Other errors are internal errors.
func TestStoreErrors(t *testing.T) {
	for _, tt := range []struct {
		err    error
		status int
		text   string
	}{
		{syscall.ENOSPC, 507, `"STORAGE_FULL","message":"the mirror's disk is full"`},
		{syscall.EDQUOT, 507, `"STORAGE_FULL","message":"the mirror's disk is full"`},
		{syscall.EIO, 500, `"UNKNOWN"`},
	} {
		core, logged := observer.New(zap.ErrorLevel)
		w := httptest.NewRecorder()
		x := &exchange{Handler: &Handler{log: zap.New(core)}, ResponseWriter: w, r: httptest.NewRequest(http.MethodPatch, "/v2/", nil)}
		x.fail(fmt.Errorf("append: %w", &fs.PathError{Op: "write", Path: "/srv/data/x", Err: tt.err}))
		body := w.Body.String()
		if w.Code != tt.status || !strings.Contains(body, tt.text) || strings.Contains(body, "/srv") {
			t.Errorf("%v: %d %s", tt.err, w.Code, body)
		}
		if logged.Len() != 1 {
			t.Errorf("%v: logged %v", tt.err, logged.All())
		}
	}
}
