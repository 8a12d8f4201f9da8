package status

import (
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// ownName refuses requests that address somebody else. A browser sends the name
// it was told: a page of another site that points its own name at this listener
// (DNS rebinding), or that fetches from here, says so in Host or Origin.
func ownName(names []string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
		if !ok { // a unix socket, which no browser reaches
			next.ServeHTTP(w, r)
			return
		}
		if !addresses(r.Host, local, names) {
			answer(w, http.StatusForbidden, "the Host header does not name this listener, "+local.String())
			return
		}
		for _, origin := range r.Header.Values("Origin") {
			u, err := url.Parse(origin)
			if err != nil || u.Scheme != "http" || !addresses(u.Host, local, names) {
				answer(w, http.StatusForbidden, "the Origin header does not name this listener, "+local.String())
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// addresses reports whether hostport names the local end of a connection.
func addresses(hostport string, local *net.TCPAddr, names []string) bool {
	host, port, err := net.SplitHostPort(hostport)
	if err != nil {
		host, port = strings.Trim(hostport, "[]"), "80"
	}
	if port != strconv.Itoa(local.Port) {
		return false
	}
	if ip := net.ParseIP(host); ip != nil {
		return ip.Equal(local.IP) || ip.IsLoopback() && local.IP.IsLoopback()
	}
	if strings.EqualFold(host, "localhost") {
		return local.IP.IsLoopback()
	}
	for _, name := range names {
		if name != "" && strings.EqualFold(host, name) {
			return true
		}
	}
	return false
}
