"""Machines that boot by network: several images served to many of them, and who has booted what.

    rules           who boots what: a machine by its MAC address or its place, its image and profile
    tree            the folder that is served, and what dnsmasq is told of it
    dhcp            dnsmasq: rights, addresses, its command line
    http, http_server   files by HTTP: a process that is started, and what it does
    journal         what the servers say, as one line for each boot
    server          all of it, until it is interrupted

May import: common, image, media.
"""
