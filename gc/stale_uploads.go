package gc

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"
)

// staleInterval is how often it is looked for uploads that were left, if [Policy.Uploads] is no shorter.
const staleInterval = time.Hour

// expireStaleUploads drops uploads that were left, now and then, whether there is a schedule or not: nobody would miss them, and they
// are as large as layers are. It does no harm to do so during a collection.
func (c *Collector) expireStaleUploads(ctx context.Context, now time.Time) {
	policy := c.Options().Policy
	idle := policy.staleBefore(now)
	if idle.IsZero() || now.Sub(c.staleChecked) < min(staleInterval, now.Sub(idle)) {
		return
	}
	c.staleChecked = now
	count, bytes, err := c.expireUploads(ctx, idle)
	switch {
	case err != nil && ctx.Err() == nil:
		c.log.Warn("cannot drop uploads that were left", zap.Error(err))
	case count > 0:
		c.log.Info("dropped uploads that were left", zap.Int("uploads", count), zap.Int64("freed", bytes))
	}
}

// expire drops all uploads to which nothing came since idle.
func (c *Collector) expireUploads(ctx context.Context, idle time.Time) (count int, bytes int64, err error) {
	var failures []error
	for u, err := range c.store.Uploads(ctx) {
		if err != nil {
			return count, bytes, err
		}
		if !u.Written.Before(idle) {
			continue
		}
		expired, err := c.store.ExpireUpload(ctx, u.ID, idle)
		switch {
		case err != nil && len(failures) < maxUploadErrors:
			failures = append(failures, fmt.Errorf("upload %s to %s: %w", u.ID, u.Repo, err))
		case expired:
			count++
			bytes += u.Size
		}
	}
	return count, bytes, errors.Join(failures...)
}

// maxUploadErrors is how many uploads that cannot be dropped are named at once.
const maxUploadErrors = 5
