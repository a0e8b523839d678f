#!/bin/sh
# confine.sh ROOT KEEP… -- COMMAND…: runs a command as the image does: as 65532 without capabilities, with a root that
# cannot be written, ROOT/etc/postwatch as /etc/postwatch, secrets in it readable by its group, and its own empty /tmp
# and /var/lib/postwatch. KEEP are folders that have to be seen although they lie below /tmp or somebody's home. To be
# run by `unshare --mount`.
set -eu
user=65532

mount --make-rprivate /
root=$1
shift
mount -t tmpfs -o mode=0755 tmpfs /mnt
cp -a /etc /mnt/etc
cp -a "$root/etc/postwatch" /mnt/etc/postwatch
for folder in secrets webhook; do # as fsGroup and defaultMode make them
    [ ! -e "/mnt/etc/postwatch/$folder" ] || find "/mnt/etc/postwatch/$folder" -type f \
        -exec chown "root:$user" {} + -exec chmod 0440 {} +
done
mkdir /mnt/keep

kept=
while [ "$1" != -- ]; do
    place=/mnt/keep/$(echo "$1" | tr / _)
    mkdir -p "$place"
    mount --rbind "$1" "$place"
    kept="$kept $1"
    shift
done
shift

mount -t tmpfs -o mode=1777 tmpfs /tmp
for path in $kept; do
    above=$path
    while [ "$above" != / ]; do # the first folder above that others may not pass
        above=$(dirname "$above")
        [ -e "$above" ] || continue # hidden by what was mounted, and made anew
        case $(stat -c %A "$above") in
            *x | *t) ;;
            *) mount -t tmpfs -o mode=0755 tmpfs "$above" ;;
        esac
    done
done
for path in $kept; do
    mkdir -p "$path"
    mount --rbind "/mnt/keep/$(echo "$path" | tr / _)" "$path"
done
mount --bind /mnt/etc /etc
mount -t tmpfs -o mode=0755 tmpfs /var/lib
install -d -o "$user" -g "$user" -m 0700 /var/lib/postwatch
mount -o remount,bind,ro /etc
mount -o remount,bind,ro /
mount -o remount,bind,ro /mnt

cd /
exec setpriv --reuid="$user" --regid="$user" --clear-groups --no-new-privs --inh-caps=-all --bounding-set=-all -- "$@"
