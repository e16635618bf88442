# SPDX-License-Identifier: BSD-2-Clause-Patent
#
# Run in the guest by module-bench.
modprobe efistore efivars=off || exit 1
cp /etc/store.fd /tmp/store.fd
efistored --store /tmp/store.fd --socket /tmp/socket --kmod &
daemon=$!
sleep 2
module_bench
status=$?
kill $daemon
wait $daemon
exit $status
