package status

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Recorder counts what no file remembers: the requests made by this process,
// how long they took, and how long changes took from commit to accepted.
type Recorder struct {
	requests *prometheus.CounterVec
	request  prometheus.Histogram
	delivery prometheus.Histogram
}

// NewRecorder makes a recorder that has seen nothing.
func NewRecorder() *Recorder {
	return &Recorder{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pgcio_requests_total",
			Help: "Requests made, by the reply's status code; 0: no reply.",
		}, []string{"workspace", "api", "code"}),
		request: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "pgcio_request_seconds",
			Help:    "Time from a request to its reply.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}),
		// A delivery may take the milliseconds of an idle system or the hours of
		// an outage.
		delivery: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "pgcio_delivery_seconds",
			Help:    "Time from a change's commit to its being accepted.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 5, 15, 60, 300, 1800, 7200, 43200},
		}),
	}
}

// Request counts one request to an API ("track", "app") of a workspace. Code 0
// says that there was no reply.
func (r *Recorder) Request(workspace, api string, code int, took time.Duration) {
	r.requests.WithLabelValues(workspace, api, strconv.Itoa(code)).Inc()
	r.request.Observe(took.Seconds())
}

// Delivery notes how long a change took from its commit to being accepted.
func (r *Recorder) Delivery(took time.Duration) {
	r.delivery.Observe(max(0, took.Seconds()))
}

// Describe makes a Recorder a prometheus.Collector.
func (r *Recorder) Describe(out chan<- *prometheus.Desc) {
	r.requests.Describe(out)
	r.request.Describe(out)
	r.delivery.Describe(out)
}

// Collect makes a Recorder a prometheus.Collector.
func (r *Recorder) Collect(out chan<- prometheus.Metric) {
	r.requests.Collect(out)
	r.request.Collect(out)
	r.delivery.Collect(out)
}
