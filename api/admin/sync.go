package admin

import (
	"context"
	"errors"
	"net/http"

	"go.uber.org/zap"

	"airmirror/mirror"
)

// ErrShutdown is the cause to cancel the context of requests with when the mirror is told to stop.
var ErrShutdown = errors.New("the mirror is shutting down")

func (h *Handler) sync(w http.ResponseWriter, r *http.Request) error {
	if h.opts.Sync == nil {
		return mirror.Errorf(mirror.CodeUnsupported, "this mirror fetches no images on request")
	}
	body, err := readBody(w, r)
	if err != nil {
		return err
	}
	lines, ctx := h.newLines(w, r), r.Context()
	h.log.Info("sync begins")
	err = h.opts.Sync(ctx, body, lines.tell)
	switch {
	case ctx.Err() == nil:
		h.log.Info("sync ended", zap.Error(err))
	case errors.Is(context.Cause(ctx), ErrShutdown):
		h.log.Info("sync was broken off", zap.Error(ErrShutdown))
		err = ctx.Err()
	default:
		h.log.Info("sync was broken off: the command that asked for it was stopped")
		err = ctx.Err()
	}
	return lines.end(err)
}
