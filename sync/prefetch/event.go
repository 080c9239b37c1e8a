package prefetch

import "airmirror/sync/progress"

// tell completes an event and passes it on.
func (r *run) emit(event Event) {
	r.Report(func(now progress.Snapshot) {
		event.Time = now.Time
		if event.Kind == KindProgress {
			event.Doing = now.Current
		}
		if event.Kind != KindPlan {
			event.Done, event.Total = now.Done, now.Total
		}
		r.report(event)
	})
}
