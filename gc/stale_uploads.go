package gc

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"
)

// staleInterval is how often stale uploads are looked for; more often if [Policy.UploadTTL] is shorter.
const staleInterval = time.Hour

// expireStaleUploads deletes stale uploads once in [staleInterval], with or without a schedule: no client needs them,
// and they can be as large as layers. It may run during a collection.
func (c *Collector) expireStaleUploads(ctx context.Context, now time.Time) {
	policy := c.Options().Policy
	stale := policy.staleBefore(now)
	if stale.IsZero() || now.Sub(c.staleChecked) < min(staleInterval, now.Sub(stale)) {
		return
	}
	c.staleChecked = now
	count, bytes, err := c.expireUploads(ctx, stale)
	switch {
	case err != nil && ctx.Err() == nil:
		c.log.Warn("cannot delete stale uploads", zap.Error(err))
	case count > 0:
		c.log.Info("deleted stale uploads", zap.Int("uploads", count), zap.Int64("freed", bytes))
	}
}

// expireUploads deletes all uploads to which nothing was written since stale.
func (c *Collector) expireUploads(ctx context.Context, stale time.Time) (count int, bytes int64, err error) {
	var failures []error
	for u, err := range c.store.Uploads(ctx) {
		if err != nil {
			return count, bytes, err
		}
		if !u.Written.Before(stale) {
			continue
		}
		expired, err := c.store.ExpireUpload(ctx, u.ID, stale)
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

// maxUploadErrors is the number of failed uploads that an error names.
const maxUploadErrors = 5
