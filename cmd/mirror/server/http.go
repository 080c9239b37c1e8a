package server

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"go.uber.org/zap"

	"airmirror/api/middleware"
)

// Timeouts of every HTTP server of this process. There is none for a body: middleware disconnects clients that stall.
const (
	readHeaderTimeout = 10 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 64 << 10
)

// listen listens on an address. The error names the setting of the address.
func listen(address, setting string) (net.Listener, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, &Error{UnusableAddress, fmt.Errorf("cannot listen on %s: %w; choose another address with %s", address, cause(err), setting)}
	}
	return listener, nil
}

// cause returns the cause of an error of net.Listen, which repeats the address.
func cause(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		var sys *os.SyscallError
		if errors.As(op.Err, &sys) {
			return sys.Err
		}
		return op.Err
	}
	return err
}

// newHTTPServer returns an HTTP server with the timeouts of this process, and limits of its connections. It logs errors of net/http as warnings, such as
// a connection that cannot be accepted.
func newHTTPServer(handler http.Handler, limits middleware.ConnLimits, log *zap.Logger) *http.Server {
	errorLog, err := zap.NewStdLogAt(log.WithOptions(zap.AddCallerSkip(1)), zap.WarnLevel)
	if err != nil { // the level does not exist
		panic(err)
	}
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: readHeaderTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          errorLog,
	}
	middleware.LimitConns(server, limits)
	return server
}
