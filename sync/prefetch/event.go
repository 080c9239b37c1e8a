package prefetch

import "airmirror/sync/progress"

// tell completes an event and passes it on.
func (r *run) emit(event Event) {
	r.Tell(func(now progress.Now) {
		event.Time = now.Time
		if event.Kind == KindProgress {
			event.Doing = now.Doing
		}
		if event.Kind != KindPlan {
			event.Done, event.Total = now.Done, now.Total
		}
		r.report(event)
	})
}
